"""Which simulators move bodies here, and splits that are played in the other one."""

import dataclasses
import importlib.util
from collections.abc import Mapping

from scenes import factors as fa
from scenes.kit import errors

SIMULATORS = ("mujoco", "pybullet")
OTHER = "other-simulator"
"""The split that the other one plays."""


def have_pybullet() -> bool:
    """Whether PyBullet is installed."""
    return importlib.util.find_spec("pybullet") is not None


def check(split: str) -> None:
    """Refuse the split that the other simulator plays, where there is but one.

    Raises:
        errors.CaveError: PyBullet is not installed.
    """
    if split == OTHER and not have_pybullet():
        raise errors.CaveError(
            f"the split {OTHER!r} needs PyBullet: pip install pybullet, which has wheels for Python 3.11 and older; the "
            "other splits need none",
            errors.USAGE,
        )


def played(splits: Mapping[str, fa.Split], simulator: str) -> dict[str, fa.Split]:
    """Splits as `simulator` plays them; beside them, where PyBullet is installed, `other-simulator`: what training has,
    played by the other one."""
    made = {name: dataclasses.replace(split, simulator=simulator) for name, split in splits.items()}
    if have_pybullet():
        (other,) = set(SIMULATORS) - {simulator}
        changes = {"name": OTHER, "in_distribution_of": "train", "simulator": other}
        made[OTHER] = dataclasses.replace(made["train"], **changes)
    return made
