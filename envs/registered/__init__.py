"""Gymnasium's own environments, found by their ids and moved in batches; what `envs.gymnasium` is made of.

Two ways to move them, with the same names: `bodies`, for the MuJoCo environments whose rewards are known here (`tasks`),
without any Python for each world; and `objects`, Gymnasium's own, one for each world, for all the others.
"""

import difflib
import warnings

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from scenes.kit import errors


def find(env_id: str) -> EnvSpec:
    """What is registered under an id.

    Raises:
        errors.CaveError: the id names a module to import, or nothing that is registered.
    """
    if ":" in env_id:
        raise errors.CaveError(
            f"gymnasium: id is {env_id!r}, and a colon would import a module: import that module first, then give the id "
            "alone",
            errors.USAGE,
        )
    if env_id not in gymnasium.registry:
        close = difflib.get_close_matches(env_id, sorted(gymnasium.registry), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}" if close else "gymnasium.pprint_registry() lists all"
        raise errors.CaveError(f"gymnasium: no environment is registered as {env_id!r}; {hint}", errors.USAGE)
    return gymnasium.registry[env_id]


def make(env_id: str, pictures: bool = False) -> gymnasium.Env:
    """One of Gymnasium's environments, without its time limit.

    Args:
        env_id: Under which it is registered.
        pictures: Whether it is to draw itself.

    Raises:
        errors.CaveError: no such id; or a package that it needs is missing.
    """
    find(env_id)
    try:
        with warnings.catch_warnings():
            # Whoever asks for an old version by its number knows that there is a newer one.
            warnings.simplefilter("ignore")
            # An environment that does not draw itself may not know the option.
            drawing = {"render_mode": "rgb_array"} if pictures else {}
            return gymnasium.make(env_id, max_episode_steps=-1, disable_env_checker=True, **drawing)
    except (gymnasium.error.Error, ImportError) as error:
        raise missing(env_id, error) from error


def missing(env_id: str, error: Exception) -> errors.CaveError:
    """The line for an environment that lacks something on this machine."""
    return errors.CaveError(f"gymnasium: {env_id} cannot be used here: {error}")


def action_space(env_id: str, space: spaces.Space) -> spaces.Discrete | spaces.Box:
    """Actions as worlds take them: counted from 0, or a bounded vector.

    Raises:
        errors.CaveError: they are neither.
    """
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and space.is_bounded():
        return spaces.Box(space.low.ravel(), space.high.ravel(), dtype=space.dtype)
    raise errors.CaveError(
        f"gymnasium: {env_id} takes actions of {space}: wanted Discrete, or a Box with finite bounds"
    )
