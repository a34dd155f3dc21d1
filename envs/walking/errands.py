"""Errands: one thing among several is named by its colour or its shape, and somebody is to go there."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from envs.physics import discs
from scenes.solids import SHAPES, rgb

FACTORS = {"colour": "hue", "shape": "shape"}
"""What can name a thing, and the factor that says it."""


def goal(by: str, named: np.ndarray) -> Float32[np.ndarray, "b g"]:
    """The sensor `goal`, of things whose naming factor is `named`: colours, in [0, 1], or shapes, one-hot."""
    return rgb(named) if by == "colour" else np.eye(len(SHAPES), dtype=np.float32)[named]


def goal_width(by: str) -> int:
    """How many numbers it has."""
    return 3 if by == "colour" else len(SHAPES)


def twins(by: str, named: np.ndarray, present: Bool[np.ndarray, "b k"]) -> Bool[np.ndarray, "b k"]:
    """Which things share the factor that names them with another one that is present."""
    apart = np.abs(named[:, :, None] - named[:, None])
    # Families keep hues further apart than this; interventions may not.
    same = np.minimum(apart, 1 - apart) < 0.04 if by == "colour" else apart == 0
    return (same & present[:, None] & ~np.eye(present.shape[1], dtype=bool)).any(-1)


def seen(
    position: Float64[np.ndarray, "b 2"],
    yaw: Float64[np.ndarray, " b"],
    centre: Float64[np.ndarray, "b k 2"],
    rim: Float64[np.ndarray, "b k"],
    target: Int[np.ndarray, " b"],
    radius: float,
) -> Float64[np.ndarray, "b d"]:
    """Things as bodies see them, for the sensor `state`: of the target, sine and cosine of its bearing, metres to the
    body's rim, its radius; of every other thing, nearest first: presence, sine, cosine, metres; zeros where there is none.
    """
    every = np.arange(len(position))
    away = centre - position[:, None]
    bearing = np.arctan2(away[..., 1], away[..., 0]) - yaw[:, None]
    gap, present = discs.gaps(position, centre, rim), rim >= 0
    each = np.stack([present, np.sin(bearing), np.cos(bearing), np.where(present, np.maximum(gap, 0), 0)], -1)
    each *= present[..., None]
    wanted = np.concatenate([each[every, target, 1:], rim[every, target][:, None] - radius], 1)
    # Absent things sort behind present ones and the target behind all, where it is dropped.
    rank = np.where(present, gap, np.finfo(float).max)
    rank[every, target] = np.inf
    others = each[every[:, None], np.argsort(rank, 1, kind="stable")[:, :-1]].reshape(len(each), -1)
    return np.concatenate([wanted, others], 1)
