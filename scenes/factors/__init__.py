"""What varies between scenes, and which of it is held out: distributions over named factors, and splits made of them.

    box(shape=Finite(range(7)), hue=Interval(0, 1)) - box(hue=Interval(0.2, 0.35))

A distribution samples, says what it contains, and is combined by product, union, difference and intersection,
exactly. A `Split` gives one for the scene and one for its objects (`Repeat`, or `Casts` where there are several sorts of
them); `check_splits` proves that no test split overlaps training, or names a factor and a witness; `tiers` says what a test
split is to whoever trained on another; `appearance` says which colours and shapes training has; `nuisance` names factors
that any family may take; `placing` makes objects fit.
"""

from scenes.factors.appearance import hues, looks
from scenes.factors.casts import Casts
from scenes.factors.distributions import Distribution, Finite, Interval, box, cut, mixture, union
from scenes.factors.splits import Repeat, Split, check_splits, overlap

__all__ = [
    "Casts",
    "Distribution",
    "Finite",
    "Interval",
    "Repeat",
    "Split",
    "box",
    "check_splits",
    "cut",
    "hues",
    "looks",
    "mixture",
    "overlap",
    "union",
]
