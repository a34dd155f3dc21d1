"""How mesh files look as solids: parts of one colour each, flat ground as planes; and turns as quaternions."""

import dataclasses
import functools
import os

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

import scenes
from scenes import geometry
from scenes.geometry import reading

COLOURS = 6
"""Most colours that are told apart on a mesh that shows a picture, unless told otherwise."""
FACES = 4096
"""Most faces that those of a mesh are cut into, so that they show more of its picture."""
_ALIKE, _EVEN = 0.15, 0.4
"""Colours nearer than this are one, and a picture whose colours are nearer than that is one colour (wood)."""
_TEXELS = 4
"""Pixels of the picture that a face may cover without being cut."""
_POINTS = np.array([[8, 2, 2], [2, 8, 2], [2, 2, 8], [5, 5, 2], [5, 2, 5], [2, 5, 5]]) / 12
"""Shares of a face's corners at which its colour is looked up."""


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Those faces of a mesh that have one colour."""

    mesh: scenes.Mesh
    colour: Float[np.ndarray, " 3"]
    """What the picture makes of white."""


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

    parts: tuple[Part, ...]
    plane: Plane | None = None
    """The same, where it is a flat rectangle."""

    @property
    def mean(self) -> Float[np.ndarray, " 3"]:
        """Mean colour of the surface."""
        sizes = [np.linalg.norm(_areas(part.mesh.vertices[part.mesh.faces]), axis=1).sum() for part in self.parts]
        return np.average([part.colour for part in self.parts], 0, np.maximum(sizes, 1e-30))


def of_file(path: str, mirrored: tuple[bool, bool, bool] = (False, False, False), colours: int = COLOURS) -> Look:
    """The looks of a mesh file; kept, so that renderers prepare each once.

    Args:
        path: Of the file.
        mirrored: Along which axes.
        colours: Most colours that are told apart on it; each is a part, drawn by itself.

    Raises:
        errors.CaveError: the file is not such a mesh.
    """
    stamp = os.stat(path)
    return _of_file(os.path.abspath(path), mirrored, colours, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=512)
def _of_file(path: str, mirrored: tuple[bool, bool, bool], colours: int, *_: int) -> Look:
    # Pictures may lie anywhere: this file is one that a program already works with.
    model = reading.mesh(path, root="/")
    flip = np.where(mirrored, -1, 1).astype(np.float32)
    faces = model.faces[:, ::-1] if np.prod(flip) < 0 else model.faces
    faces = np.ascontiguousarray(faces)
    normals = None if model.normals is None else np.ascontiguousarray((model.normals * flip)[faces])
    corners = np.ascontiguousarray((model.vertices * flip)[faces])
    picture = next((m.picture for m in model.materials if m.picture is not None), None)
    whole = scenes.Mesh(model.vertices * flip, faces, normals)
    if model.coordinates is None or picture is None:
        picture, parts = None, (Part(whole, np.ones(3)),)
    else:
        parts = _parts(corners, normals, model.coordinates[faces], picture, colours)
        parts = parts if len(parts) > 1 else (Part(whole, parts[0].colour),)
    low, high = corners.min((0, 1)).astype(np.float64), corners.max((0, 1)).astype(np.float64)
    upward = _areas(corners)[:, 2] / 2
    area = np.prod(high[:2] - low[:2])
    if high[2] > low[2] or not (upward > 0).all() or not np.isclose(upward.sum(), area, rtol=1e-6):
        return Look(parts)
    half, centre = (high - low)[:2] / 2, (low + high) / 2
    plain = Plane(half, centre, "plain", 1.0, np.tile(Look(parts).mean, (2, 1)))
    laid = None if picture is None else _laid(model.vertices * flip, model.coordinates, picture, half, centre)
    return Look(parts, laid or plain)


def _areas(corners: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, "f 3"]:
    """Normals of faces, twice as long as the faces are large."""
    corners = corners.astype(np.float64)
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _parts(
    corners: Float32[np.ndarray, "f 3 3"],
    normals: Float32[np.ndarray, "f 3 3"] | None,
    where: Float[np.ndarray, "f 3 2"],
    picture: UInt8[np.ndarray, "h w c"],
    most: int,
) -> tuple[Part, ...]:
    """A mesh cut by what its faces show of a picture; they are small when it has much to show."""
    where = where.astype(np.float64)
    across, up = np.moveaxis(where[:, 1:] - where[:, :1], 1, 0)
    texels = np.abs(across[:, 0] * up[:, 1] - across[:, 1] * up[:, 0]).sum() / 2 * picture[..., 0].size
    while 4 * len(corners) <= FACES and texels > _TEXELS * len(corners):
        corners, where = _quartered(corners), _quartered(where)
        normals = None if normals is None else _quartered(normals)
    if normals is not None:
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), np.float32([0, 0, 1])).astype(np.float32)
    shown = _sampled(picture, np.einsum("pc,fcd->fpd", _POINTS, where)).mean(1)
    which = _told_apart(shown, most)
    size = np.maximum(np.linalg.norm(_areas(corners), axis=-1), 1e-30)
    made = []
    for number in np.unique(which):
        own = which == number
        faces = np.arange(3 * own.sum(), dtype=np.int32).reshape(-1, 3)
        mesh = scenes.Mesh(corners[own].reshape(-1, 3), faces, None if normals is None else normals[own])
        made.append(Part(mesh, np.average(shown[own], 0, size[own])))
    return tuple(made)


def _quartered(values: Float[np.ndarray, "f 3 d"]) -> Float[np.ndarray, "4*f 3 d"]:
    """What the corners of four faces have that the middles of a face's edges make of it."""
    a, b, c = np.moveaxis(values, 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], 1).reshape(-1, 3, values.shape[-1])


def _told_apart(colours: Float[np.ndarray, "f 3"], most: int) -> Int[np.ndarray, " f"]:
    """Which of a few colours each is the nearest to: k-means, from colours as far from each other as can be (Gonzalez 1985)."""
    means = np.median(colours, 0)[None]
    away = lambda: np.linalg.norm(colours[:, None] - means, axis=-1)
    while len(means) < most and away().min(1).max() > _ALIKE:
        means = np.concatenate([means, colours[away().min(1).argmax()][None]])
    for _ in range(4):
        which = np.unique(away().argmin(1), return_inverse=True)[1]
        means = np.stack([np.bincount(which, channel) for channel in colours.T], 1) / np.bincount(which)[:, None]
    return which if np.ptp(means, 0).max() > _EVEN else np.zeros_like(which)


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
) -> tuple[Float[np.ndarray, "n 3 4 4"], Float[np.ndarray, "n 4 4"]]:
    """What a frame that is turned by a quaternion q makes of places and quaternions in it: sums over what is constant, of
    [n, i, j, k] times q's j and q's k, and of [n, i, j] times q's j.

    Why: many states a second are a few sums then, and a single one costs few calls.
    """
    point = np.pad(np.asarray(position, np.float64), ((0, 0), (1, 0)))
    back = np.array([1.0, -1.0, -1.0, -1.0])  # q times the point times q's inverse
    moving = np.einsum("iak,ajb,nb,k->nijk", _PRODUCT[1:], _PRODUCT, point, back)
    return moving, np.einsum("ijk,nk->nij", _PRODUCT, np.asarray(rotation, np.float64))


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
