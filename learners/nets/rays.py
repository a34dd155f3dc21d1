"""Rays of pixels and patches, and the features under which networks read them."""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor


def viewpoint(poses: Float[Tensor, "*b 5"]) -> Float[Tensor, "*b 7"]:
    """GQN's viewpoint: (x, y, z, cos yaw, sin yaw, cos pitch, sin pitch) of poses (x, y, z, yaw, pitch)."""
    yaw, pitch = poses[..., 3], poses[..., 4]
    return torch.cat([poses[..., :3], torch.stack([yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()], -1)], -1)


def camera_axes(poses: Float[Tensor, "*b 5"]) -> Float[Tensor, "*b 3 3"]:
    """Rows: the camera's right, up and forward, unit vectors in the world."""
    yaw, pitch = poses[..., 3], poses[..., 4]
    cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    right = torch.stack([sy, -cy, torch.zeros_like(sy)], -1)
    up = torch.stack([-cy * sp, -sy * sp, cp], -1)
    return torch.stack([right, up, torch.stack([cy * cp, sy * cp, sp], -1)], -2)


def ray_grid(
    poses: Float[Tensor, "*b 5"], fov: float, height: int, width: int
) -> tuple[Float[Tensor, "*b 3"], Float[Tensor, "*b h w 3"]]:
    """Origins and unit directions of the rays through the centres of an h by w grid laid over the image.

    Args:
        poses: x, y, z in metres, yaw and pitch in radians.
        fov: Vertical field of view in radians, edge to edge; pixels are square.
        height: Rows of the grid; the image's for pixels, fewer for patches.
        width: Columns of the grid.
    """
    right, up, forward = camera_axes(poses).unbind(-2)
    reach = math.tan(fov / 2)
    rows = reach * (1 - 2 * (torch.arange(height, device=poses.device, dtype=poses.dtype) + 0.5) / height)
    columns = reach * (2 * (torch.arange(width, device=poses.device, dtype=poses.dtype) + 0.5) / width - 1)
    columns = columns * (width / height)
    directions = (
        forward[..., None, None, :]
        + rows[:, None, None] * up[..., None, None, :]
        + columns[None, :, None] * right[..., None, None, :]
    )
    return poses[..., :3], directions / directions.norm(dim=-1, keepdim=True)


def leaving(
    origins: Float[Tensor, "*b 3"], directions: Float[Tensor, "*b h w 3"], extent: float
) -> Float[Tensor, "*b h w"]:
    """Distance at which each ray leaves the world: a square of side `extent` about the z axis, on a floor, without a lid.

    A ray can see nothing beyond that point, and what it sees in an empty world is there.
    """
    o, d = origins[..., None, None, :], directions
    safe = torch.where(d.abs() < 1e-6, torch.full_like(d, 1e-6), d)
    sides = (torch.sign(safe[..., :2]) * extent / 2 - o[..., :2]) / safe[..., :2]
    floor = torch.where(d[..., 2] < -1e-6, -o[..., 2] / safe[..., 2], torch.full_like(d[..., 2], 10 * extent))
    return torch.minimum(sides.amin(-1), floor).clamp(0, 2 * extent)


def ray_features(
    origins: Float[Tensor, "*b 3"], directions: Float[Tensor, "*b h w 3"], extent: float
) -> Float[Tensor, "*b h w f"]:
    """What a token knows of its ray: sines of its origin, direction, moment and reach, and of points along it.

    The moment (origin x direction) and the direction are the ray's Pluecker coordinates, the same wherever on the ray the
    camera stands. The points lie at fixed shares of the way to where the ray leaves the world; rays that pass through the
    same place so find each other by a plain inner product (after Liu et al. 2022, PETR, section 3.2, where the points come
    from camera frusta). The last of them is where an empty world would be seen, and gets the finest sines.

    Args:
        origins: Camera positions, metres.
        directions: Unit directions.
        extent: Side of the world's square in metres; see `leaving`.
    """
    spread = origins[..., None, None, :].expand_as(directions)
    moment = torch.linalg.cross(spread, directions)
    far = leaving(origins, directions, extent)[..., None]
    ray = torch.cat([spread, directions, moment, far, far * directions], -1)
    # One product and one sine for everything: an agent pays for this at every frame that it sees.
    weights, offsets = (value.to(ray) for value in _waves(extent))
    return torch.addmm(offsets, ray.flatten(0, -2), weights).sin_().unflatten(0, directions.shape[:-1])


SHARES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
N_RAY_FEATURES = 60 + 24 * (len(SHARES) - 1) + 42
"""Length f of `ray_features`."""


@functools.lru_cache(maxsize=16)
def _waves(extent: float) -> tuple[Float[Tensor, "13 f"], Float[Tensor, " f"]]:
    """What takes a ray (origin, direction, moment, reach, reach times direction) to its phases, and the offsets that make
    half of the sines cosines.

    Each group of numbers has its octaves, starting at a period: for each number all octaves' sines, then all the cosines.
    """
    eye = torch.eye(13)
    own = eye[:, :10] / torch.tensor([extent / 2] * 3 + [1.0] * 3 + [extent / 2] * 3 + [extent])
    # A point at a share of the way is the origin and that share of reach times direction.
    points = [eye[:, :3] + share * eye[:, 10:] for share in SHARES]
    groups = [(own, 3, 4.0), *[(point, 4, 2 * extent) for point in points[:-1]], (points[-1], 7, 2 * extent)]
    weights, offsets = [], []
    for numbers, octaves, period in groups:
        frequencies = 2 * math.pi / period * 2.0 ** torch.arange(octaves)
        phases = torch.kron(numbers, frequencies[None])
        weights += [phases, phases]
        offsets += [torch.zeros(phases.shape[1]), torch.full((phases.shape[1],), math.pi / 2)]
    return torch.cat(weights, 1), torch.cat(offsets)


def sightings(
    points: Float[Tensor, "b n 3"],
    origins: Float[Tensor, "b m 3"],
    directions: Float[Tensor, "b m 3"],
    spacing: float,
    floor: float = -8.0,
) -> Float[Tensor, "b n m"]:
    """Log weight with which a point might be seen along each of m rays: Gaussian in the angle between, bounded below.

    Args:
        points: Metres.
        origins: Of the rays, metres.
        directions: Of the rays, unit.
        spacing: Tangent of the angle between neighbouring rays: the deviation of the Gaussian.
        floor: What a ray gets that looks elsewhere, or away.
    """
    along = torch.baddbmm(-(origins * directions).sum(-1)[:, None, :], points, directions.mT)
    squared = torch.baddbmm(origins.square().sum(-1)[:, None, :], points, origins.mT, alpha=-2.0)
    squared = squared + points.square().sum(-1)[..., None]
    off = (squared / along.square().clamp_min(1e-6) - 1).clamp_min(0)  # tangent squared
    return torch.where(along > 0, (-0.5 / spacing**2 * off).clamp_min(floor), floor)
