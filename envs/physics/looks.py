"""How mesh files look as solids: meshes and their pictures, flat ground as planes; and turns as quaternions."""

import dataclasses
import functools
import os

import numpy as np
from jaxtyping import Float, Float32, UInt8

import scenes
from scenes import geometry
from scenes.geometry import reading


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """A flat rectangle seen from +z, as a mesh file may hold one."""

    half: Float[np.ndarray, " 2"]
    centre: Float[np.ndarray, " 3"]
    texture: str
    """Of `scenes.TEXTURES`: plain, checker or image."""
    period: float
    """Of the texture, in metres."""
    colours: Float[np.ndarray, "2 3"]
    image: UInt8[np.ndarray, "h w 3"] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What a mesh file is drawn as."""

    mesh: scenes.Mesh
    image: UInt8[np.ndarray, "h w 3"] | None = None
    """The picture that it shows by its coordinates."""
    plane: Plane | None = None
    """The same, where it is a flat rectangle."""


def of_file(path: str, mirrored: tuple[bool, bool, bool] = (False, False, False)) -> Look:
    """The looks of a mesh file; kept, so that renderers prepare each once.

    Args:
        path: Of the file.
        mirrored: Along which axes.

    Raises:
        errors.CaveError: the file is not such a mesh.
    """
    stamp = os.stat(path)
    return _of_file(os.path.abspath(path), mirrored, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=512)
def _of_file(path: str, mirrored: tuple[bool, bool, bool], *_: int) -> Look:
    # Pictures may lie anywhere: this file is one that a program already works with.
    model = reading.mesh(path, root="/")
    flip = np.where(mirrored, -1, 1).astype(np.float32)
    faces = model.faces[:, ::-1] if np.prod(flip) < 0 else model.faces
    faces = np.ascontiguousarray(faces)
    normals = None if model.normals is None else np.ascontiguousarray((model.normals * flip)[faces])
    corners = np.ascontiguousarray((model.vertices * flip)[faces])
    picture = next((m.picture for m in model.materials if m.picture is not None), None)
    coordinates = None if model.coordinates is None or picture is None else _near(model.coordinates[faces])
    image = None if coordinates is None else _fitting(picture[..., :3])
    mesh = scenes.Mesh(model.vertices * flip, faces, normals, coordinates)
    low, high = corners.min((0, 1)).astype(np.float64), corners.max((0, 1)).astype(np.float64)
    upward = _areas(corners)[:, 2] / 2
    area = np.prod(high[:2] - low[:2])
    if high[2] > low[2] or not (upward > 0).all() or not np.isclose(upward.sum(), area, rtol=1e-6):
        return Look(mesh, image)
    half, centre = (high - low)[:2] / 2, (low + high) / 2
    if image is None:
        return Look(mesh, None, Plane(half, centre, "plain", 1.0, np.ones((2, 3))))
    return Look(mesh, image, _laid(model.vertices * flip, model.coordinates, picture, half, centre))


def _near(coordinates: Float32[np.ndarray, "f 3 2"]) -> Float32[np.ndarray, "f 3 2"]:
    """Coordinates whole pictures away, where those are meant that are as large as a `scenes.Mesh` may have."""
    most = scenes.LARGEST_COORDINATE
    away = np.clip(coordinates - np.floor(coordinates.min(1, keepdims=True)), 0, most)
    return np.ascontiguousarray(np.where(np.abs(coordinates).max(initial=0) > most, away, coordinates), np.float32)


def _fitting(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """A picture no larger than scenes may have."""
    every = -(-max(picture.shape[:2]) // scenes.LARGEST_IMAGE)
    return np.ascontiguousarray(picture[::every, ::every])


def _areas(corners: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, "f 3"]:
    """Normals of faces, twice as long as the faces are large."""
    corners = corners.astype(np.float64)
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _sampled(picture: np.ndarray, at: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 3"]:
    h, w = picture.shape[:2]
    column = np.minimum((at[..., 0] % 1 * w).astype(int), w - 1)
    row = np.minimum(((1 - at[..., 1] % 1) * h).astype(int), h - 1)
    return picture[row, column, :3] / 255


def _laid(
    vertices: np.ndarray, at: np.ndarray, picture: np.ndarray, half: np.ndarray, centre: np.ndarray
) -> Plane | None:
    """A flat rectangle with a picture that lies straight on it; None where it does not."""
    place, at = vertices[:, :2].astype(np.float64) - centre[:2], at.astype(np.float64)
    slope = (at * place).sum(0) / np.maximum((place * place).sum(0), 1e-30)
    shift = at.mean(0) - place.mean(0) * slope
    if not np.allclose(place * slope + shift, at, atol=1e-3) or not slope.all():
        return None
    periods = 1 / np.abs(slope)
    two = _checker(picture, slope, shift, periods)
    if two is not None:
        return Plane(half, centre, "checker", float(periods[0]), two)
    if not 1 / 64 < periods[1] / periods[0] < 64:
        return None
    # Our pictures have square pixels, and their middle in the plane's.
    seen = picture[:, :: int(np.sign(slope[0])), :3][:: int(np.sign(slope[1]))]
    across, up = shift * np.sign(slope) - 0.5
    h, w = picture.shape[:2]
    high = w * periods[1] / periods[0]
    wide, high = (w, high) if high >= h else (h * periods[0] / periods[1], h)
    most = min(1.0, scenes.LARGEST_IMAGE / max(wide, high))
    image = geometry.repeated(seen, max(round(high * most), 1), max(round(wide * most), 1), -up, across)
    return Plane(half, centre, "image", float(periods[0]), np.ones((2, 3)), image)


def _checker(
    picture: np.ndarray, slope: np.ndarray, shift: np.ndarray, periods: np.ndarray
) -> Float[np.ndarray, "2 3"] | None:
    """The two colours of the squares, half a period wide, that a picture makes of a plane; None where it makes none."""
    if not np.isclose(*periods, rtol=1e-3):
        return None
    # Is every point of a fine grid the colour that squares around the middle give it?
    line = (np.arange(32) + 0.5) / 32 * periods[0]
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    colours = _sampled(picture, grid * slope + shift)
    same = (grid[..., 0] < periods[0] / 2) == (grid[..., 1] < periods[0] / 2)
    two = np.stack([np.median(colours[~same], 0), np.median(colours[same], 0)])
    drawn = np.where(same[..., None], two[1], two[0])
    if (np.abs(colours - drawn).max(-1) < 0.05).mean() < 0.9 or np.allclose(two[0], two[1], atol=0.05):
        return None
    return two


_PRODUCT = np.array([
    [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, -1]], [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]],
    [[0, 0, 1, 0], [0, 0, 0, -1], [1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 0, 1], [0, 0, 1, 0], [0, -1, 0, 0], [1, 0, 0, 0]],
], np.float64)  # fmt: skip
"""Number i of the product of quaternions (w, x, y, z) is the sum over j and k of [i, j, k] times the first's j and the
second's k."""


def carried(
    position: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "n 4"]
) -> tuple[Float[np.ndarray, "n 3 16"], Float[np.ndarray, "n 4 4"]]:
    """What a frame that is turned by a quaternion q makes of places and quaternions in it: matrices, by which the products
    of q's numbers with each other are the one, and q is the other.

    Why: many states a second are a few sums then, and a single one costs few calls.
    """
    point = np.pad(np.asarray(position, np.float64), ((0, 0), (1, 0)))
    back = np.array([1.0, -1.0, -1.0, -1.0])  # q times the point times q's inverse
    moving = np.einsum("iak,ajb,nb,k->nijk", _PRODUCT[1:], _PRODUCT, point, back)
    return moving.reshape(-1, 3, 16), np.einsum("ijk,nk->nij", _PRODUCT, np.asarray(rotation, np.float64))


def product(a: Float[np.ndarray, "*n 4"], b: Float[np.ndarray, "... 4"]) -> Float[np.ndarray, "*n 4"]:
    """Turn by `b`, then by `a`: the product of unit quaternions (w, x, y, z)."""
    w, v, u, s = a[..., :1], a[..., 1:], b[..., 1:], b[..., :1]
    made = np.concatenate([w * s - (v * u).sum(-1, keepdims=True), w * u + s * v + np.cross(v, u)], -1)
    return made / np.linalg.norm(made, axis=-1, keepdims=True)


def quaternions(matrices: Float[np.ndarray, "b 3 3"]) -> Float32[np.ndarray, "b 4"]:
    """Unit quaternions (w, x, y, z) of rotation matrices (Shepperd 1978: by the largest of four candidates)."""
    m = np.asarray(matrices, np.float64)
    a, b, c = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    squares = np.stack([1 + a + b + c, 1 + a - b - c, 1 - a + b - c, 1 - a - b + c], 1)
    x, y, z = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 1, 0] + m[:, 0, 1], m[:, 2, 0] + m[:, 0, 2], m[:, 2, 1] + m[:, 1, 2]
    w0, w1, w2, w3 = squares.T
    candidates = np.stack([
        np.stack([w0, x, y, z], 1), np.stack([x, w1, xy, xz], 1),
        np.stack([y, xy, w2, yz], 1), np.stack([z, xz, yz, w3], 1),
    ], 1)  # fmt: skip
    best = candidates[np.arange(len(m)), squares.argmax(1)]
    return (best / np.linalg.norm(best, axis=1, keepdims=True)).astype(np.float32)
