"""Where cameras stand: poses (x, y, z, yaw, pitch) as pure functions of a key and a scene's number."""

import math

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from scenes.kit import errors, seeds

_ATTEMPTS = 1000


def ring(
    key: int, index: Int[np.ndarray, " b"], n_views: int, radius: float, height: float, aim: float
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring around the z axis, at uniform angles, looking at the point `aim` metres up that axis.

    Row i depends on `key`, `index[i]` and the view's number alone.
    """
    angle = seeds.uniform(key, index, n_views) * 2 * math.pi
    pitch = math.atan2(aim - height, radius)
    rows = [radius * np.cos(angle), radius * np.sin(angle), height, angle + math.pi, pitch]
    return np.stack(np.broadcast_arrays(*rows), -1).astype(np.float32)


def circle(n: int, radius: float, height: float, pitch: float) -> Float32[np.ndarray, "{n} 5"]:
    """Cameras once around the z axis at even steps, facing it; their yaw lies in [-pi, pi)."""
    angle = np.arange(n) * 2 * math.pi / n
    yaw = (angle + math.pi + math.pi) % (2 * math.pi) - math.pi
    rows = [radius * np.cos(angle), radius * np.sin(angle), height, yaw, pitch]
    return np.stack(np.broadcast_arrays(*rows), -1).astype(np.float32)


def sphere(
    key: int, index: Int[np.ndarray, " b"], n_views: int, radius: float, aim: float, lowest: float, highest: float
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a sphere around the point `aim` metres up the z axis, looking at it, between two angles of elevation
    (in radians); any area of that zone is as likely as another of its size.

    Row i depends on `key`, `index[i]` and the view's number alone.
    """
    u = seeds.uniform(key, index, 2 * n_views).reshape(-1, n_views, 2)
    return on_sphere(*zone(u, lowest, highest), radius, aim)


def zone(u: Float[np.ndarray, "*b 2"], lowest: float, highest: float) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation, uniform by area over a zone of a sphere, from numbers in [0, 1)."""
    low, high = math.sin(lowest), math.sin(highest)
    return u[..., 0] * 2 * math.pi, np.arcsin(low + u[..., 1] * (high - low))


def on_sphere(
    azimuth: Float[np.ndarray, "*b"],
    elevation: Float[np.ndarray, "*b"],
    radius: float | Float[np.ndarray, "*b"],
    aim: float,
) -> Float32[np.ndarray, "*b 5"]:
    """Cameras so many radians around the z axis and up, `radius` metres from the point `aim` metres up that axis, at
    which they look; their yaw lies in [-pi, pi)."""
    out = radius * np.cos(elevation)
    yaw = azimuth % (2 * math.pi) - math.pi
    rows = [out * np.cos(azimuth), out * np.sin(azimuth), aim + radius * np.sin(elevation), yaw, -elevation]
    return np.stack(np.broadcast_arrays(*rows), -1).astype(np.float32)


def free(
    key: int,
    index: Int[np.ndarray, " b"],
    n_views: int,
    half: float,
    height: float,
    middles: Float[np.ndarray, "b k 2"],
    radii: Float[np.ndarray, "b k"],
    real: Bool[np.ndarray, "b k"],
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Level cameras of any yaw, uniform over a square of half edge `half` but for the discs that are `real` in a row.

    Row i depends on `key`, `index[i]` and row i of the discs alone.

    Raises:
        errors.CaveError: a row has no such place (none was found in 1,000 draws).
    """
    pending = np.arange(len(index) * n_views)
    poses = np.zeros((len(pending), 5), np.float32)
    for attempt in range(_ATTEMPTS):
        row = pending // n_views
        u = seeds.uniform(key, index, 3 * n_views, stream=attempt).reshape(-1, 3)[pending]
        spot = (u[:, :2] * 2 - 1) * half
        away = ((spot[:, None] - middles[row]) ** 2).sum(-1)
        clear = ((away >= radii[row] ** 2) | ~real[row]).all(1)
        found = pending[clear]
        poses[found, :2] = spot[clear]
        poses[found, 2] = height
        poses[found, 3] = u[clear, 2] * 2 * math.pi
        pending = pending[~clear]
        if not len(pending):
            return poses.reshape(-1, n_views, 5)
    raise errors.CaveError(f"no free place was found for a camera in {_ATTEMPTS} draws: ask for less clearance")
