"""MuJoCo's materials as patterns and images: which of its pictures lie on what, and how.

MuJoCo (4.0, measured) lays a flat picture on every side of a box, from its lower x or y and upper y or z on, once or as often as
the material says; where the picture is uniform, as often again as the box's half sizes along x and y. One for the six sides of a
cube it lays on as OpenGL does cube maps. Both are drawn as a mesh that has coordinates. On other geoms without coordinates a
picture is its mean.
"""

import functools
import math

import mujoco
import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt8

import scenes
from scenes import geometry
from scenes.kit import errors

_TYPES = mujoco.mjtGeom
_REPEATS = 1e4
"""Most repeats of a texture."""
PLAIN, CHECKER, IMAGE = (scenes.TEXTURES.index(name) for name in ("plain", "checker", "image"))
_SIDES = (
    (0, 1, (0, 0, -1), (0, -1, 0)), (0, -1, (0, 0, 1), (0, -1, 0)),
    (1, 1, (1, 0, 0), (0, 0, 1)), (1, -1, (1, 0, 0), (0, 0, -1)),
    (2, 1, (1, 0, 0), (0, -1, 0)), (2, -1, (-1, 0, 0), (0, -1, 0)),
)  # fmt: skip
"""Sides of a cube in the order of their pictures: axis, direction, and along which axes columns and rows of the picture run
(OpenGL 4.6, table 8.19)."""
_RIGHT, _DOWN = (np.array([side[k] for side in _SIDES]) for k in (2, 3))
_ACROSS = ([1, 2], [0, 2], [0, 1])
"""Along which axes columns and rows of a flat picture run on the sides across each axis."""
_PATCHES = 16
"""Of a side of the sky along an edge, whose mean colours are known."""
_FRAME = 8
"""Which part of a picture is repeated around it where several lie side by side in one image, so that none shows at the edges of
another."""


def looks(
    model: mujoco.MjModel, geoms: Int[np.ndarray, " n"], colours: Float32[np.ndarray, "m 4"],
    boxes: dict[int, tuple[scenes.Mesh, np.ndarray]],
) -> tuple[
    Int32[np.ndarray, " n"], Float32[np.ndarray, " n"], Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 2 3"],
    tuple[np.ndarray, ...],
]:  # fmt: skip
    """Of each geom that is drawn: which pattern, its period, the colour below it, and its two colours; and the images of
    those that show one, in their order; `boxes` are those of `boxes`."""
    n = len(geoms)
    texture, scale = np.full(n, PLAIN, np.int32), np.ones(n, np.float32)
    pattern, images = np.ones((n, 2, 3), np.float32), []
    for k, geom in enumerate(geoms.tolist()):
        material = int(model.geom_matid[geom])
        number = texture_of(model, material) if material >= 0 else -1
        if geom in boxes:
            texture[k] = IMAGE
            images.append(boxes[geom][1])
            continue
        if number < 0:
            continue
        pixels = pixels_of(model, number)
        flat = model.tex_type[number] == int(mujoco.mjtTexture.mjTEXTURE_2D)
        if repeats(model, geom).any():
            texture[k] = IMAGE
            images.append(np.round(pixels[..., :3] * 255).astype(np.uint8))
            continue
        if not flat or model.geom_type[geom] != int(_TYPES.mjGEOM_PLANE):
            pattern[k] = pixels.reshape(-1, pixels.shape[-1]).mean(0)[:3]
            continue
        repeat, size = repeats_of(model, material), model.geom_size[geom, :2]
        # Repeats over the whole plane, or, where it is uniform or has no end, over two metres: MuJoCo's meaning of both.
        uniform = bool(model.mat_texuniform[material])
        periods = [float(2 / r if uniform or not s else 2 * s / r) for r, s in zip(repeat, size, strict=True)]
        squares = _checker(pixels)
        # Squares of ours meet in the middle of the plane; MuJoCo's, half periods from a corner on, if it has one.
        halves = [2 * s / period for s, period in zip(size, periods, strict=True)]
        if (
            squares is None
            or not np.allclose(halves, np.round(halves), atol=1e-3)
            or not math.isclose(*periods, rel_tol=1e-3)
        ):
            texture[k], scale[k] = IMAGE, periods[0]
            images.append(_laid(pixels[..., :3], periods, size))
        else:
            texture[k], scale[k] = CHECKER, periods[0]
            pattern[k] = squares[::-1] if round(sum(halves)) % 2 else squares
    return texture, scale, colours[geoms, :3], pattern, tuple(images)


def _laid(
    pixels: Float32[np.ndarray, "h w 3"], periods: list[float], size: Float[np.ndarray, " 2"]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """A picture whose square pixels and middle lie on a plane as MuJoCo's do: those have any shape, and begin at the
    plane's upper left corner, or where it has no bounds have their middle at its."""
    h, w = pixels.shape[:2]
    aspect = float(periods[1] / periods[0])
    height, width = (round(w * aspect), w) if w * aspect >= h else (h, round(h / aspect))
    most = scenes.LARGEST_IMAGE
    across, down = (float(s / p - 0.5) if s else 0.0 for s, p in zip(size, periods, strict=True))
    return geometry.repeated(pixels * 255, min(max(height, 1), most), min(max(width, 1), most), down, across)


@functools.cache
def _cube() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners of the sides of a cube from -1 to 1, counter-clockwise seen from outside, 6 4 3; where they lie in the pictures of
    `_SIDES`, to the right and down from 0 to 1, 6 4 2; and triangles of all 24."""
    corners, places = np.zeros((6, 4, 3)), np.zeros((6, 4, 2))
    around = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    for side, (axis, way, right, down) in enumerate(_SIDES):
        corners[side, :, axis] = way
        corners[side][:, [(axis + 1) % 3, (axis + 2) % 3]] = around[::way]
        places[side] = (corners[side] @ np.array([right, down]).T + 1) / 2
    first = np.arange(6)[:, None, None] * 4
    return corners, places, (first + np.array([(0, 1, 2), (0, 2, 3)])).reshape(-1, 3).astype(np.int32)


def boxes(
    model: mujoco.MjModel, geoms: Int[np.ndarray, " n"]
) -> dict[int, tuple[scenes.Mesh, UInt8[np.ndarray, "_ _ 3"]]]:
    """Those of the geoms that are boxes on which a picture lies: as meshes, and their images."""
    made: dict[int, tuple[scenes.Mesh, np.ndarray]] = {}
    known: dict[tuple, tuple[scenes.Mesh, np.ndarray]] = {}
    for geom in geoms.tolist():
        material = int(model.geom_matid[geom])
        number = texture_of(model, material) if material >= 0 else -1
        if number < 0 or model.geom_type[geom] != int(_TYPES.mjGEOM_BOX):
            continue
        size = model.geom_size[geom]
        flat = model.tex_type[number] == int(mujoco.mjtTexture.mjTEXTURE_2D)
        # A side of a box that is no cube then shows parts of several pictures.
        if model.mat_texuniform[material] and not flat and np.ptp(size) > 0:
            continue
        key = (material, *size.tolist())
        if key not in known:
            pixels = pixels_of(model, number)[..., :3]
            if np.ptp(pixels, axis=(0, 1)).max() == 0:
                continue
            known[key] = _flat(model, material, pixels, size) if flat else _six(pixels, size)
        made[geom] = known[key]
    return made


def _box(size: np.ndarray, places: np.ndarray) -> scenes.Mesh:
    """A box whose corners show those places of an image, to the right and down from 0 to 1 within it."""
    corners, _, faces = _cube()
    coordinates = np.float32([0, 1]) + np.float32([1, -1]) * places.reshape(-1, 2).astype(np.float32)
    return scenes.Mesh((corners * size).reshape(-1, 3).astype(np.float32), faces, None, coordinates[faces])


def _flat(
    model: mujoco.MjModel, material: int, pixels: Float32[np.ndarray, "h w 3"], size: np.ndarray
) -> tuple[scenes.Mesh, np.ndarray]:
    often = repeats_of(model, material) * np.where(model.mat_texuniform[material], size[:2], 1)
    corners = _cube()[0]
    across = np.stack([corners[side][:, _ACROSS[axis]] for side, (axis, *_) in enumerate(_SIDES)])
    return _box(size, often * (1 + across * (1, -1)) / 2), np.round(pixels * 255).astype(np.uint8)


def _six(pixels: Float32[np.ndarray, "h w 3"], size: np.ndarray) -> tuple[scenes.Mesh, np.ndarray]:
    width = pixels.shape[1]
    places, sides = _cube()[1], pixels.reshape(-1, width, width, 3)
    if len(sides) == 1:
        return _box(size, places), np.round(pixels * 255).astype(np.uint8)
    while 6 * (width + 2 * (width // _FRAME)) > scenes.LARGEST_IMAGE:
        width //= 2
        sides = sides[:, : 2 * width, : 2 * width].reshape(6, width, 2, width, 2, 3).mean((2, 4))
    more = width // _FRAME
    sides = np.pad(sides, ((0, 0), (more, more), (more, more), (0, 0)), mode="edge")
    whole = width + 2 * more
    places = (places * width + more) / whole
    places = np.stack([places[..., 0], (np.arange(6)[:, None] + places[..., 1]) / 6], -1)
    return _box(size, places), np.round(sides.reshape(6 * whole, whole, 3) * 255).astype(np.uint8)


def texture_of(model: mujoco.MjModel, material: int) -> int:
    """The texture that colours a material; -1 for none."""
    row = np.atleast_1d(model.mat_texid[material])
    roles = mujoco.mjtTextureRole
    for role in (int(roles.mjTEXROLE_RGB), int(roles.mjTEXROLE_RGBA)):
        if role < len(row) and row[role] >= 0:
            return int(row[role])
    return -1


def pixels_of(model: mujoco.MjModel, number: int) -> Float32[np.ndarray, "h w c"]:
    """A texture's picture, in [0, 1]."""
    h, w, c = (int(array[number]) for array in (model.tex_height, model.tex_width, model.tex_nchannel))
    start = int(model.tex_adr[number])
    made = np.asarray(model.tex_data[start : start + h * w * c]).reshape(h, w, c).astype(np.float32) / 255
    return made if c >= 3 else np.repeat(made[..., :1], 3, 2)


def _checker(pixels: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "2 3"] | None:
    """The two colours of a picture of two by two squares; None if it is something else."""
    h, w = pixels.shape[0] // 2, pixels.shape[1] // 2
    if not h or not w:
        return None
    quarters = [pixels[:h, :w, :3], pixels[:h, -w:, :3], pixels[-h:, :w, :3], pixels[-h:, -w:, :3]]
    # A builtin mark (an edge, a cross) is thin: the middle of each quarter tells its colour.
    middles = np.array([np.median(quarter.reshape(-1, 3), 0) for quarter in quarters])
    plain = [(np.abs(quarter - middle).max(-1) < 0.02).mean() > 0.8 for quarter, middle in zip(quarters, middles)]
    same = np.allclose(middles[0], middles[3], atol=0.02) and np.allclose(middles[1], middles[2], atol=0.02)
    if not all(plain) or not same or np.allclose(middles[0], middles[1], atol=0.02):
        return None
    return middles[[0, 1]].astype(np.float32)


def repeats(model: mujoco.MjModel, geom: int) -> Float32[np.ndarray, " 2"]:
    """By what a geom's material multiplies its mesh's coordinates; 0 where its picture does not go by those."""
    material, row = int(model.geom_matid[geom]), int(model.geom_dataid[geom])
    number = texture_of(model, material) if material >= 0 else -1
    if (
        number < 0
        or model.geom_type[geom] != int(_TYPES.mjGEOM_MESH)
        or model.mesh_texcoordadr[row] < 0
        or model.tex_type[number] != int(mujoco.mjtTexture.mjTEXTURE_2D)
        or model.mat_texuniform[material]
    ):
        return np.zeros(2, np.float32)
    return repeats_of(model, material, mirrored=True).astype(np.float32)


def repeats_of(model: mujoco.MjModel, material: int, mirrored: bool = False) -> Float[np.ndarray, " 2"]:
    """How often a material's picture lies beside itself; less than 0, where that may be, turns it around."""
    repeat = np.asarray(model.mat_texrepeat[material], np.float64)
    often = np.abs(repeat) if mirrored else repeat
    if not ((often >= 1 / _REPEATS) & (often <= _REPEATS)).all():
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material) or f"number {material}"
        raise errors.CaveError(
            f"material {name}: texrepeat is {repeat.tolist()}, wanted two numbers from {1 / _REPEATS:g} to {_REPEATS:g}"
        )
    return repeat


class Sky:
    """What MuJoCo draws where there is nothing: its sky box, or black.

    Args:
        model: Whose.
    """

    def __init__(self, model: mujoco.MjModel):
        self._sides = np.zeros((6, 1, 1, 3), np.float32)
        for number in np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))[:1].tolist():
            pixels = pixels_of(model, number)[..., :3]
            width = pixels.shape[1]
            sides = np.broadcast_to(pixels.reshape(-1, width, width, 3), (6, width, width, 3))
            # Stars are smaller than what is asked of it.
            n = next(n for n in range(min(_PATCHES, width), 0, -1) if width % n == 0)
            self._sides = sides.reshape(6, n, width // n, n, width // n, 3).mean((2, 4))
        self.mean = self._sides.mean((0, 1, 2))
        """Its mean colour."""
        self.varies = bool(np.ptp(self._sides, axis=(0, 1, 2)).any())
        """Whether it depends on where one looks."""

    def towards(self, directions: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Its colours in those directions of the world, which need not be of length 1."""
        x, y, z = np.moveaxis(directions, -1, 0)
        turned = np.stack([x, z, -y], -1)  # its upper side is that of the world
        axis = np.abs(turned).argmax(-1)
        largest = np.take_along_axis(turned, axis[..., None], -1)
        side = 2 * axis + (largest[..., 0] < 0)
        n = self._sides.shape[1]
        column, row = (
            np.clip((((turned * along).sum(-1) / np.abs(largest[..., 0]) + 1) * n / 2).astype(int), 0, n - 1)
            for along in (_RIGHT[side], _DOWN[side])
        )
        return self._sides[side, row, column]
