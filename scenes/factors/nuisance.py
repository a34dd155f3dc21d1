"""Disturbances of what is seen, as factors of a scene: how strong each is, in percent, 0 being none.

    camera_sway      the camera sways around its pose
    colour_drift     the colours of all things drift
    light_flicker    the light turns and flickers
    backdrop_change  the sky's colour changes, and the patterns of the scenery breathe

A family multiplies its scenes' factors by `CALM`, and by `EASY` or `HARD` in splits of those names. What a strength
means from step to step says whoever plays episodes; a scene by itself is calm.

The kinds of disturbance and the strengths are those of the Distracting Control Suite (Stone et al., 2021,
https://arxiv.org/abs/2101.02722): 0.1 is its easy, 0.2 its medium and 0.3 its hard; but its backgrounds are videos, which
have to be downloaded, and nothing is here.
"""

from scenes.factors.distributions import Distribution, Finite, box

NAMES = ("camera_sway", "colour_drift", "light_flicker", "backdrop_change")
LIMITS = dict.fromkeys(NAMES, (0, 100))
"""Least and largest strength of each."""


def strengths(values: range) -> Distribution:
    """Every disturbance of a strength in a range of percents, independently."""
    return box(**dict.fromkeys(NAMES, Finite(values)))


CALM, EASY, HARD = strengths(range(1)), strengths(range(5, 11)), strengths(range(20, 31))
