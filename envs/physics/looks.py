"""How mesh files look as solids: mean colours of their pictures, flat ground as planes; and turns as quaternions."""

import dataclasses
import functools
import os

import numpy as np
from jaxtyping import Float, Float32

import scenes
from scenes.geometry import reading


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What a mesh file is drawn as."""

    mesh: scenes.Mesh
    mean: Float[np.ndarray, "2 3"]
    """What its picture makes of a colour, twice."""
    plane: Float[np.ndarray, " 2"] | None = None
    """Half extents, where it is a flat rectangle seen from +z."""
    centre: Float[np.ndarray, " 3"] | None = None
    period: float = 0.0
    """Of a checker on such a plane, in metres; 0: there is none."""
    checker: Float[np.ndarray, "2 3"] | None = None


def of_file(path: str, mirrored: tuple[bool, bool, bool] = (False, False, False)) -> Look:
    """The looks of a mesh file, mirrored along some axes; kept, so that renderers prepare each once.

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
    mesh = scenes.Mesh(model.vertices * flip, faces, normals)
    picture = next((m.picture for m in model.materials if m.picture is not None), None)
    mean = np.ones((2, 3))
    if picture is not None and model.coordinates is not None:
        mean[:] = _mean(model, picture)
    corners = mesh.vertices[faces].astype(np.float64)
    low, high = mesh.vertices.min(0).astype(np.float64), mesh.vertices.max(0).astype(np.float64)
    upward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] / 2
    area = np.prod(high[:2] - low[:2])
    if high[2] > low[2] or not (upward > 0).all() or not np.isclose(upward.sum(), area, rtol=1e-6):
        return Look(mesh, mean)
    half, centre = (high - low)[:2] / 2, (low + high) / 2
    period, checker = _checker(model, picture, half, centre)
    return Look(mesh, mean, half, centre, period, checker)


def _mean(model: reading.Model, picture: np.ndarray) -> Float[np.ndarray, " 3"]:
    """Mean colour of the surface, sampled at four points of each face."""
    corners = model.vertices[model.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    where = model.coordinates[model.faces].astype(np.float64)
    points = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]], np.float64)
    at = np.einsum("pc,fcd->pfd", points / points.sum(1, keepdims=True), where)
    colours = _sampled(picture, at)
    if np.ptp(where, axis=1).max() > 1:  # it repeats within a face: few points would tell little
        return picture.reshape(-1, picture.shape[-1])[:, :3].mean(0) / 255
    return np.einsum("pfd,f->d", colours, area) / (4 * max(area.sum(), 1e-30))


def _sampled(picture: np.ndarray, at: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 3"]:
    h, w = picture.shape[:2]
    column = np.minimum((at[..., 0] % 1 * w).astype(int), w - 1)
    row = np.minimum(((1 - at[..., 1] % 1) * h).astype(int), h - 1)
    return picture[row, column, :3] / 255


def _checker(model: reading.Model, picture: np.ndarray | None, half: np.ndarray, centre: np.ndarray):
    """Period and two colours of the squares that a picture makes of a flat rectangle; 0 where it makes none."""
    if picture is None or model.coordinates is None:
        return 0.0, None
    place, at = model.vertices[:, :2].astype(np.float64) - centre[:2], model.coordinates.astype(np.float64)
    slope = ((at * place).sum(0) / np.maximum((place * place).sum(0), 1e-30)).tolist()
    shift = at.mean(0) - place.mean(0) * slope
    straight = np.allclose(place * slope + shift, at, atol=1e-3)
    if not straight or slope[0] == 0 or not np.isclose(abs(slope[0]), abs(slope[1]), rtol=1e-3):
        return 0.0, None
    period = 1 / abs(slope[0])
    # Is every point of a fine grid the colour that squares of half a period, around the middle, give it?
    line = (np.arange(32) + 0.5) / 32 * period
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    colours = _sampled(picture, grid * slope + shift)
    same = (grid[..., 0] < period / 2) == (grid[..., 1] < period / 2)
    two = np.stack([np.median(colours[~same], 0), np.median(colours[same], 0)])
    drawn = np.where(same[..., None], two[1], two[0])
    if (np.abs(colours - drawn).max(-1) < 0.05).mean() < 0.9 or np.allclose(two[0], two[1], atol=0.05):
        return 0.0, None
    return float(period), two


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
