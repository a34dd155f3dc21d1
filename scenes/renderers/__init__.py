"""Scenes to pictures: the contract of renderers. A module beside this file is one of them (`raycast`, `mujoco`, `pybullet`).

    load(scenes, **options) -> handle                       copies, checks, compiles; once per batch
    handle.render(cameras, poses=None, mask=None, out=None, flow_to=None) -> Frames     as often as the world moves
    handle.update(scenes, rows)                             other scenes in the places `rows`

All have the options `shadows`, `supersample` (rays per pixel each way) and `sensors` (those of `SENSORS` that are wanted).
`raycast` also has `device`: with cuda, frames are torch tensors on the graphics card, drawn in torch's current stream; all
that goes in stays numpy. Nobody gets those unless they ask for them.

`poses = (position (n, 3), rotation (n, 4))` replaces the poses of all `n` solids of the loaded batch, in their order,
for this call only; a world that moves hands over nothing else. `mask` (b,) chooses the cameras that are drawn; rows of
the others stay as they were. `out` is a `Frames` of the right shape to draw into; without it the handle's own arrays
are given back, and its next call overwrites them. `flow_to = (cameras, poses)`, the latter None for those of the batch,
is for the sensor `flow` alone: the second state of the world, of as many cameras of the same scenes and size. That of the
next step gives forward flow, that of the step before backward flow.

What every renderer agrees on: surfaces are seen from outside only (a camera within a solid looks through it), a plane
from its +z side; cameras are pinholes, or orthographic where they say their `extent`; shading is Lambert's, `colour *
(ambient + sum of light * max(0, n . l))`, clipped, with no fall-off and no gamma. Planes cast no shadows: they are the
stage, and one sun must light a whole room. Triangles of a mesh stop light from either side.
"""

import math

import numpy as np

import scenes
from scenes.kit import errors, plugins

SENSORS = ("rgb", "depth", "ids", "normals", "flow", "albedo")
"""What a frame may hold; `scenes.Frames` says what each is."""
USUAL = SENSORS[:3]
"""What it holds unless asked for more or less. Every renderer has these."""
DEVICES = ("auto", "cpu", "cuda")
"""Where a renderer may draw."""
LARGEST = 4096
"""Most rows or columns of a picture."""


def load(name: str, batch: scenes.Scenes, **options):
    """A handle of renderer `name` with `batch` loaded; `options` are those of its module's `load`.

    Raises:
        errors.CaveError: no such renderer, nothing to draw, or what it needs is missing from this machine.
    """
    return plugins.load("scenes.renderers", name, "renderer").load(batch, **options)


def check_scenes(batch: scenes.Scenes) -> None:
    """Raise CaveError, in one line, for scenes that cannot be drawn."""
    try:
        batch.check()
    except ValueError as error:
        raise errors.CaveError(str(error)) from None
    if not len(batch):
        raise errors.CaveError("there are no scenes to draw: the batch is empty, wanted at least one")


def check_sensors(sensors: tuple[str, ...], of: tuple[str, ...] = SENSORS) -> None:
    """Raise CaveError, in one line, for sensors that are not among those `of` the one who is asked."""
    for sensor in sensors:
        if sensor not in of:
            raise errors.unknown("sensor of a renderer", sensor, of)


def check_cameras(cameras: scenes.Cameras, n_scenes: int) -> None:
    """Raise CaveError, in one line, for cameras that cannot look at a batch of `n_scenes`."""
    b, size = len(cameras), (cameras.height, cameras.width)
    if not b:
        raise errors.CaveError("there are no cameras to draw for: wanted at least one")
    if not all(isinstance(edge, int | np.integer) and 1 <= edge <= LARGEST for edge in size):
        raise errors.CaveError(f"pictures are {size[0]} x {size[1]} pixels, wanted 1 to {LARGEST} each way")
    if cameras.extent is not None and not 0 < cameras.extent < math.inf:
        raise errors.CaveError(f"cameras: extent is {cameras.extent}, wanted metres above 0, or None for a pinhole")
    if cameras.extent is None and not 0 < cameras.fov < math.pi:
        raise errors.CaveError(f"cameras: fov is {cameras.fov}, wanted an angle between 0 and pi radians")
    position, rotation = np.asarray(cameras.position), np.asarray(cameras.rotation, np.float64)
    for what, array, shape in (("position", position, (b, 3)), ("rotation", rotation, (b, 4))):
        if array.shape != shape:
            raise errors.CaveError(f"cameras: {what} has shape {array.shape}, wanted {shape}")
    # For few cameras, to look at each number costs as much as a frame. Squares whose sum is finite are of finite numbers;
    # and of squares that add up to so little, which NaN never does, each is small.
    off = np.einsum("ij,ij->i", rotation, rotation) - 1
    if not (math.isfinite(np.vdot(position, position)) and np.dot(off, off) <= 3.9e-6):
        for what, array in (("position", position), ("rotation", rotation)):
            if not np.isfinite(array).all():
                raise errors.CaveError(f"cameras: {what} holds values that are not finite")
        if np.abs(np.linalg.norm(rotation, axis=1) - 1).max() > 1e-3:
            raise errors.CaveError("cameras: rotation must hold unit quaternions (w, x, y, z)")
    scene = np.asarray(cameras.scene)
    if scene.shape != (b,) or scene.dtype.kind not in "iu":
        raise errors.CaveError(
            f"cameras: scene is {scene.dtype} of shape {scene.shape}, wanted integers of shape {(b,)}"
        )
    if scene.min() < 0 or scene.max() >= n_scenes:
        raise errors.CaveError(f"cameras: scene lies in {scene.min()}..{scene.max()}, wanted 0..{n_scenes - 1}")


def check_poses(poses: tuple, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and rotations of `n` solids as contiguous float32; CaveError, in one line, if they are not such."""
    position, rotation = (np.ascontiguousarray(array, np.float32) for array in poses)
    if position.shape != (n, 3) or rotation.shape != (n, 4):
        raise errors.CaveError(f"poses have shapes {position.shape} and {rotation.shape}, wanted {(n, 3)} and {(n, 4)}")
    if not (np.isfinite(position).all() and np.isfinite(rotation).all()):
        raise errors.CaveError("poses hold values that are not finite")
    return position, rotation


def check_mask(mask: np.ndarray | None, b: int) -> np.ndarray:
    """Which of `b` cameras are to be drawn; CaveError, in one line, if `mask` does not say."""
    drawn = np.ones(b, bool) if mask is None else np.ascontiguousarray(mask)
    if drawn.shape != (b,) or drawn.dtype != bool:
        raise errors.CaveError(f"mask has shape {drawn.shape} of {drawn.dtype}, wanted {(b,)} of bool")
    return drawn


_ARRAYS = {
    "rgb": ((3,), np.uint8), "depth": ((), np.float32), "ids": ((), np.int32),
    "normals": ((3,), np.float32), "flow": ((2,), np.float32), "albedo": ((3,), np.uint8),
}  # fmt: skip


def frames(kept: scenes.Frames | None, b: int, height: int, width: int) -> scenes.Frames:
    """Arrays for `USUAL` frames of that size: those that were `kept`, if they are of it."""
    if kept is not None and kept.ids.shape == (b, height, width):
        return kept
    return scenes.Frames(*(np.zeros((b, height, width, *_ARRAYS[name][0]), _ARRAYS[name][1]) for name in USUAL))


def check_out(out: scenes.Frames, b: int, height: int, width: int, sensors: tuple[str, ...] = USUAL) -> None:
    """Raise CaveError, in one line, for arrays that frames cannot be drawn into."""
    for name in dict.fromkeys((*USUAL, *sensors)):
        (last, dtype), given = _ARRAYS[name], getattr(out, name)
        shape = (b, height, width, *last)
        if given is None or given.shape != shape or given.dtype != dtype:
            told = "None" if given is None else f"{given.dtype} of shape {given.shape}"
            raise errors.CaveError(f"out.{name} is {told}, wanted {np.dtype(dtype)} of shape {shape}")


def check_flow(flow_to: tuple | None, cameras: scenes.Cameras, wanted: bool, n_scenes: int) -> None:
    """Raise CaveError, in one line, for a second state that flow cannot be measured to."""
    if (flow_to is not None) != wanted:
        told = "is missing" if wanted else "is given, but flow is not among the sensors"
        raise errors.CaveError(f"flow_to {told}: the sensor flow and flow_to=(cameras, poses) go together")
    if wanted:
        other = flow_to[0]
        check_cameras(other, n_scenes)
        same = (other.height, other.width) == (cameras.height, cameras.width)
        if not same or not np.array_equal(other.scene, cameras.scene):
            raise errors.CaveError("flow_to: its cameras must be as many, of the same scenes and size, as those drawn")


def check_rows(batch: scenes.Scenes, rows: np.ndarray, loaded: int) -> np.ndarray:
    """The places of `batch` among the `loaded` scenes; CaveError, in one line, if they do not fit."""
    rows = np.asarray(rows)
    if (
        rows.dtype.kind not in "iu"
        or rows.shape != (len(batch),)
        or rows.min() < 0
        or rows.max() >= loaded
        or len(set(rows.tolist())) < len(rows)
    ):
        raise errors.CaveError(f"update: {len(batch)} scenes for rows {rows.tolist()} of {loaded}: wanted one row each")
    return rows
