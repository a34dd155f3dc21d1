"""Factors that somebody asks for, checked before a world takes them."""

from collections.abc import Mapping

import numpy as np

from scenes.kit import errors


def checked(
    name: str,
    factors: Mapping[str, np.ndarray],
    like: Mapping[str, np.ndarray],
    limits: Mapping[str, tuple[float, float]],
) -> dict[str, np.ndarray]:
    """Factors asked for, as arrays of the shapes and types of those there are.

    Args:
        name: The environment's.
        factors: Name -> array of as many rows as worlds are meant.
        like: The factors of those worlds.
        limits: Least and largest value of factors that have such, both allowed.

    Raises:
        errors.CaveError: a name is unknown, a shape wrong, or a value not finite, no integer where one is wanted, or out
            of range.
    """
    taken = {}
    for factor, value in factors.items():
        if factor not in like:
            raise errors.unknown(f"factor of {name}", factor, like)
        wanted, (low, high) = like[factor], limits.get(factor, (-np.inf, np.inf))
        whole = wanted.dtype.kind == "i"
        if value.shape != wanted.shape or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            shape = f"of shape {wanted.shape[1:]}, not {value.shape[1:]} of {value.dtype}"
            raise errors.CaveError(f"{name}: factor {factor} of a world must be finite numbers {shape}")
        bad = (value < low) | (value > high) | (whole & (value != np.floor(value)))
        if bad.any():
            kind, given = "an integer" if whole else "a number", value[bad][0]
            ends = f" from {low:g} to {high:g}" if factor in limits else ""
            raise errors.CaveError(f"{name}: factor {factor} must be {kind}{ends}, not {given:g}")
        taken[factor] = value.astype(wanted.dtype)
    return taken


def padded(factors: Mapping[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """Factors of scenes with up to `k` objects, in which those beyond `n_objects` are zeros."""
    present = np.arange(k) < factors["n_objects"][:, None]
    return {name: np.where(present, v, 0).astype(v.dtype) if v.ndim == 2 else v for name, v in factors.items()}
