"""Which simulators move bodies here, and splits that are played in the other one."""

import dataclasses
import importlib.util
from collections.abc import Mapping

from scenes import factors as fa

SIMULATORS = ("mujoco", "pybullet")


def have_pybullet() -> bool:
    """Whether PyBullet is installed."""
    return importlib.util.find_spec("pybullet") is not None


def played(splits: Mapping[str, fa.Split], simulator: str) -> dict[str, fa.Split]:
    """Splits as `simulator` plays them; beside them, where PyBullet is installed, `other-simulator`: what training has,
    played by the other one."""
    made = {name: dataclasses.replace(split, simulator=simulator) for name, split in splits.items()}
    if have_pybullet():
        (other,) = set(SIMULATORS) - {simulator}
        changes = {"name": "other-simulator", "in_distribution_of": "train", "simulator": other}
        made["other-simulator"] = dataclasses.replace(made["train"], **changes)
    return made
