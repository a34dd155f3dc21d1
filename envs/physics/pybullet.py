"""The state of any PyBullet world as `Scenes`, and `getCameraImage` drawn by our renderers.

For a person who calls `pybullet.getCameraImage`, two lines (arguments and results are PyBullet's):

    stage = envs.physics.pybullet.Stage(client)                     # once, when all bodies are loaded
    width, height, rgba, depth, ids = stage.get_camera_image(128, 128, view, projection)

and for many states at once `stage.states()` after each step, `stack` of them, `stage.to_scenes(states)`,
`cameras(view, projection, height, width)`, then any of `scenes.renderers`. `load_urdf` loads a URDF of unknown origin:
PyBullet, which ends the process over a bad mesh, is handed only what was read, checked and written anew.

What is kept: boxes, spheres, cylinders, capsules and meshes of all bodies and links, their colours, checkers and pictures
on flat ground, pictures on meshes, and the light of PyBullet's own software renderer (TinyRenderer). What is not kept:
gloss; transparency (what has any opacity is drawn solid, as there); pictures that `changeVisualShape` put on a shape,
which PyBullet does not give back; planes without a mesh, which TinyRenderer does not draw either; soft bodies and meshes
made of arrays, of which PyBullet does not tell the looks.
"""

import atexit
import dataclasses
import functools
import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

import scenes
from envs.physics import looks
from scenes import renderers
from scenes.geometry import reading
from scenes.kit import errors

try:
    import pybullet
except ImportError as error:
    raise errors.CaveError(
        f"PyBullet is missing ({error}): pip install pybullet, which has wheels for Python 3.11 and older"
    ) from None

LIGHT = (-50.0, 30.0, 100.0)
"""Where TinyRenderer's light comes from, unless told otherwise."""
AMBIENT, DIFFUSE = 0.6, 0.35
"""Its strengths."""
_KINDS = {
    pybullet.GEOM_BOX: "box", pybullet.GEOM_SPHERE: "sphere", pybullet.GEOM_CYLINDER: "cylinder",
    pybullet.GEOM_CAPSULE: "capsule", pybullet.GEOM_MESH: "mesh",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class States:
    """Where the bodies of a stage are in `b` states; made by `Stage.states`. Solids are placed when they are asked for, so
    that all states that are drawn together are worked out together."""

    stage: "Stage"
    frames: Float64[np.ndarray, "b f 7"]
    """Poses of bases and links as PyBullet has them: place, then quaternion x y z w."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def position(self) -> Float32[np.ndarray, "b n 3"]:
        """Of the solids."""
        return self._solids[0]

    @property
    def rotation(self) -> Float32[np.ndarray, "b n 4"]:
        """Of the solids."""
        return self._solids[1]

    @functools.cached_property
    def _solids(self) -> tuple[Float32[np.ndarray, "b n 3"], Float32[np.ndarray, "b n 4"]]:
        return self.stage._placed(self.frames)


def stack(states: Sequence[States]) -> States:
    """States of one stage, taken one after another, as one."""
    return States(states[0].stage, np.concatenate([s.frames for s in states]))


def load_urdf(
    client: int,
    path: str | Path,
    basePosition: Sequence[float] = (0.0, 0.0, 0.0),  # noqa: N803 (PyBullet's names, as in get_camera_image)
    baseOrientation: Sequence[float] = (0.0, 0.0, 0.0, 1.0),  # noqa: N803
    useFixedBase: bool = False,  # noqa: N803
    flags: int = 0,
    globalScaling: float = 1.0,  # noqa: N803
    root: str | Path | None = None,
) -> int:
    """Load a URDF of unknown origin, as `pybullet.loadURDF` does one that is trusted; returns the number of its body.

    PyBullet is handed a copy in a folder that goes with this process: numbers that were checked, meshes and pictures
    that were read and written anew (any of OBJ, STL, PLY and GLB).

    Args:
        client: Number of the physics client.
        path: Of the file.
        basePosition: Of the base, metres.
        baseOrientation: Of the base, x y z w.
        useFixedBase: Whether the base is fixed to the world.
        flags: Of `pybullet.loadURDF`.
        globalScaling: How much larger everything is.
        root: Folder that holds everything that the file may refer to; by default its own.

    Raises:
        errors.CaveError: in one line, the file is not there, is no URDF that can be simulated, or exceeds a limit.
    """
    place, turn = [float(x) for x in basePosition], [float(x) for x in baseOrientation]
    fits = len(place) == 3 and len(turn) == 4 and np.isfinite([*place, *turn, globalScaling]).all()
    if not (fits and max(map(abs, place)) <= 1e6 and math.hypot(*turn) > 0.5 and 0 < globalScaling <= 1e6):
        given = f"basePosition {place}, baseOrientation {turn}, globalScaling {globalScaling}"
        raise errors.CaveError(
            f"{given}: wanted 3 numbers within 1e6, a unit quaternion and a scale above 0", errors.USAGE
        )
    files = reading.urdf_files(path, root)
    folder = (
        _folder() / hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()
    )
    if not folder.exists():
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
    try:
        return pybullet.loadURDF(
            str(folder / "model.urdf"), place, turn, useFixedBase=int(useFixedBase), flags=flags,
            globalScaling=globalScaling, physicsClientId=client,
        )  # fmt: skip
    except pybullet.error as error:
        raise errors.CaveError(f"{path}: PyBullet does not accept it: {error}") from None


@functools.cache
def _folder() -> Path:
    """Where copies lie until this process ends: PyBullet names a shape's mesh by its file."""
    kept = tempfile.mkdtemp(prefix="cave-")
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    return Path(kept)


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What is drawn of one visual shape."""

    body: int
    link: int
    kind: str
    size: Sequence[float] | np.ndarray
    position: Sequence[float] | np.ndarray
    """In the link's own axes, as is the rotation."""
    rotation: Sequence[float]
    colours: np.ndarray
    texture: str = "plain"
    period: float = 1.0
    image: np.ndarray | None = None
    mesh: scenes.Mesh | None = None


class Stage:
    """The looks of a world: which visual shapes of which bodies are drawn, as what.

    It is made once the bodies are there; after one was loaded, removed or painted, make another.

    Args:
        client: Number of the physics client, as `pybullet.connect` gave it.
        bodies: Which bodies are drawn; by default all.

    Raises:
        errors.CaveError: the client does not answer, a body is not there, or a shape cannot be drawn.
    """

    def __init__(self, client: int = 0, bodies: Sequence[int] | None = None):
        if not pybullet.isConnected(client):
            raise errors.CaveError(
                f"there is no physics client {client}: give what pybullet.connect gave", errors.USAGE
            )
        there = [pybullet.getBodyUniqueId(i, client) for i in range(pybullet.getNumBodies(client))]
        bodies = there if bodies is None else list(bodies)
        for body in bodies:
            if body not in there:
                raise errors.CaveError(f"body {body} is not there: choose from {there}", errors.USAGE)
        self.client = client
        found = [pybullet.getVisualShapeData(body, physicsClientId=client) for body in bodies]
        shapes = [shape for data in found for given in data for shape in _read(given)]
        n = len(shapes)
        column = lambda name, dtype, *shape: np.array([getattr(s, name) for s in shapes], dtype).reshape(n, *shape)
        self.body: Int32[np.ndarray, " n"] = column("body", np.int32)
        """Solid `k` of a scene is of body `body[k]` ..."""
        self.link: Int32[np.ndarray, " n"] = column("link", np.int32)
        """... and of its link `link[k]`, -1 for the base."""
        self._kind = np.array([scenes.KINDS.index(shape.kind) for shape in shapes], np.int32)
        self._size = column("size", np.float32, 3)
        self._colour, self._period = column("colours", np.float32, 2, 3), column("period", np.float32)
        self._texture = np.array([scenes.TEXTURES.index(shape.texture) for shape in shapes], np.int32)
        self._images = tuple({id(shape.image): shape.image for shape in shapes if shape.image is not None}.values())
        number = {id(image): i for i, image in enumerate(self._images)}
        self._image = np.array([number.get(id(shape.image), -1) for shape in shapes], np.int32)
        table = {shape.mesh: None for shape in shapes if shape.mesh is not None}
        self._meshes = tuple(table)
        number = {mesh: i for i, mesh in enumerate(table)} | {None: -1}
        self._mesh = np.array([number[shape.mesh] for shape in shapes], np.int32)
        # Frames are those of bases and links that hold a solid.
        self._links = {body: sorted({*self.link[self.body == body].tolist()} - {-1}) for body in self.body.tolist()}
        row = {key: i for i, key in enumerate((body, i) for body in self._links for i in (-1, *self._links[body]))}
        self._frame = np.array([row[key] for key in zip(self.body.tolist(), self.link.tolist())], np.int64)
        place, turn = column("position", np.float64, 3), column("rotation", np.float64, 4)[:, [1, 2, 3, 0]]
        for i in np.flatnonzero(self.link == -1).tolist():
            # What PyBullet calls the pose of a base is that of its centre of mass.
            centre = pybullet.invertTransform(*pybullet.getDynamicsInfo(int(self.body[i]), -1, client)[3:5])
            place[i], turn[i] = pybullet.multiplyTransforms(*centre, place[i].tolist(), turn[i].tolist())
        self._moving, self._turning = looks.carried(place, turn[:, [3, 0, 1, 2]])
        self._handle: Any = None
        self._light: tuple[Any, ...] = ()

    def states(self, clients: int | Sequence[int] | None = None) -> States:
        """Where the solids are now; a copy.

        Args:
            clients: Other clients that hold the same bodies, loaded in the same order: a state of each.
        """
        chosen = [self.client] if clients is None else [clients] if isinstance(clients, int) else list(clients)
        return States(
            self, np.array([self._frames(client) for client in chosen], np.float64).reshape(len(chosen), -1, 7)
        )

    def _placed(
        self, frames: Float64[np.ndarray, "b f 7"]
    ) -> tuple[Float32[np.ndarray, "b n 3"], Float32[np.ndarray, "b n 4"]]:
        """Places and quaternions (w x y z) of the solids."""
        frames = frames[:, self._frame]
        turn = frames[..., [6, 3, 4, 5]]
        pairs = (turn[..., None] * turn[..., None, :]).reshape(*turn.shape[:2], 16, 1)
        moved, turned = (self._moving @ pairs)[..., 0], (self._turning @ turn[..., None])[..., 0]
        return (frames[..., :3] + moved).astype(np.float32), turned.astype(np.float32)

    def _frames(self, client: int) -> list[tuple[float, ...]]:
        made = []
        try:
            for body, links in self._links.items():
                place, turn = pybullet.getBasePositionAndOrientation(body, client)
                made.append((*place, *turn))
                if links:
                    told = pybullet.getLinkStates(body, links, computeForwardKinematics=1, physicsClientId=client)
                    made += [(*state[4], *state[5]) for state in told]
        except pybullet.error as error:
            raise errors.CaveError(
                f"client {client} does not hold this stage's bodies ({error}): make a Stage of it"
            ) from None
        return made

    def to_scenes(
        self,
        states: States,
        light: Sequence[float] | np.ndarray = LIGHT,
        colour: Sequence[float] = (1.0, 1.0, 1.0),
        ambient: float = AMBIENT,
        diffuse: float = DIFFUSE,
        sky: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> scenes.Scenes:
        """A scene for each state, lit as TinyRenderer lights it.

        Args:
            states: Of this stage.
            light: Direction from the scene towards the sun, of any length.
            colour: Of the sun.
            ambient: Strength of the light from everywhere.
            diffuse: Strength of the sun.
            sky: What is seen where nothing is.
        """
        light, colour, sky = (np.asarray(given, np.float64) for given in (light, colour, sky))
        length = np.linalg.norm(light)
        if not (np.isfinite([*light, *colour, *sky, ambient, diffuse]).all() and length > 0):
            raise errors.CaveError(
                "a light's direction and colours must be finite, and its direction not zero", errors.USAGE
            )
        b, n = len(states), len(self.body)
        tile = lambda array: np.tile(array, (b,) + (1,) * (array.ndim - 1))
        return scenes.Scenes(
            offsets=np.arange(b + 1, dtype=np.int64) * n,
            kind=tile(self._kind),
            size=tile(self._size),
            position=states.position.reshape(-1, 3),
            rotation=states.rotation.reshape(-1, 4),
            texture=tile(self._texture),
            texture_scale=tile(self._period),
            colour=tile(self._colour),
            mesh=tile(self._mesh),
            meshes=self._meshes,
            image=tile(self._image),
            images=self._images,
            light_position=np.tile(light / length, (b, 1, 1)).astype(np.float32),
            light_colour=np.tile(colour * diffuse, (b, 1, 1)).astype(np.float32),
            light_is_sun=np.ones((b, 1), bool),
            ambient=np.full((b, 3), ambient, np.float32),
            sky=np.tile(sky, (b, 1)).astype(np.float32),
        )

    def get_camera_image(
        self,
        width: int,
        height: int,
        viewMatrix: Sequence[float] | np.ndarray,  # noqa: N803 (these names are PyBullet's, so that a call stays as it is)
        projectionMatrix: Sequence[float] | np.ndarray,  # noqa: N803
        lightDirection: Sequence[float] | np.ndarray = LIGHT,  # noqa: N803
        lightColor: Sequence[float] = (1.0, 1.0, 1.0),  # noqa: N803
        shadow: int = 0,
        lightAmbientCoeff: float = AMBIENT,  # noqa: N803
        lightDiffuseCoeff: float = DIFFUSE,  # noqa: N803
        flags: int = 0,
        supersample: int = 1,
    ) -> tuple[int, int, UInt8[np.ndarray, "h w 4"], Float32[np.ndarray, "h w"], Int32[np.ndarray, "h w"]]:
        """What `pybullet.getCameraImage` gives: width, height, colours, depth buffer and what is seen.

        The depth buffer is PyBullet's, from 0 at the near plane to 1 at the far one and where nothing is. What is seen
        is the number of the body, or, with the flag ER_SEGMENTATION_MASK_OBJECT_AND_LINKINDEX, that plus the number of
        the link plus one, shifted by 24 bits; -1 for nothing. Unlike PyBullet it keeps no light from call to call, and it
        takes no lightDistance, lightSpecularCoeff, renderer, physicsClientId or projective texture.

        Args:
            width: Of the picture.
            height: Of the picture.
            viewMatrix: As `pybullet.computeViewMatrix` gives it.
            projectionMatrix: As `pybullet.computeProjectionMatrixFOV` gives it, its aspect being width / height.
            lightDirection: From the scene towards the light.
            lightColor: Of the light.
            shadow: Whether there are hard shadows.
            lightAmbientCoeff: Strength of the light from everywhere.
            lightDiffuseCoeff: Strength of the light that has a direction.
            flags: Of `pybullet.getCameraImage`.
            supersample: Rays per pixel each way.

        Raises:
            errors.CaveError: the matrices are not those of a camera that can be drawn.
        """
        # It draws a pixel more each way, see below.
        if not all(isinstance(edge, int | np.integer) and 1 <= edge < renderers.LARGEST for edge in (width, height)):
            raise errors.CaveError(
                f"pictures are {width} x {height} pixels, wanted 1 to {renderers.LARGEST - 1} each way"
            )
        camera = cameras(viewMatrix, projectionMatrix, height, width)
        # TinyRenderer looks through the left lower corners of pixels. A picture with a pixel more each way, of the same
        # scale, has its pixels' middles there.
        wide = 2 * math.atan(math.tan(camera.fov / 2) * (height + 1) / height)
        camera = dataclasses.replace(camera, fov=wide, height=height + 1, width=width + 1)
        states = self.states()
        strengths = map(float, (*lightDirection, *lightColor, lightAmbientCoeff, lightDiffuseCoeff))
        light = (*strengths, bool(shadow), supersample)
        if light != self._light:
            batch = self.to_scenes(states, lightDirection, lightColor, lightAmbientCoeff, lightDiffuseCoeff)
            self._handle = renderers.load("raycast", batch, shadows=bool(shadow), supersample=supersample)
            self._light = light
        frames = self._handle.render(camera, poses=(states.position[0], states.rotation[0]))
        near, far = planes(projectionMatrix)
        z, ids, rgb = frames.depth[0, 1:, :-1], frames.ids[0, 1:, :-1], frames.rgb[0, 1:, :-1]
        rgba = np.full((height, width, 4), 255, np.uint8)
        for channel in range(3):  # they lie apart in memory, where each is a straight copy
            rgba[..., channel] = rgb[..., channel]
        # In one precision and few steps: all of this costs as much as the drawing.
        reach = np.float32(far / (far - near))
        buffer = np.clip(reach - reach * np.float32(near) / np.maximum(z, np.float32(1e-9)), 0, 1)
        seen = self.body.astype(np.int64)
        if flags & pybullet.ER_SEGMENTATION_MASK_OBJECT_AND_LINKINDEX:
            seen = seen + ((self.link.astype(np.int64) + 1) << 24)
        told = np.append(seen, -1).astype(np.int32).take(ids, mode="wrap")
        beyond = (z > far) & (ids >= 0)
        if beyond.any():
            rgba[beyond], told[beyond] = 255, -1
        return width, height, rgba, buffer, told


def cameras(
    view: Sequence[Any] | np.ndarray,
    projection: Sequence[float] | np.ndarray,
    height: int,
    width: int,
) -> scenes.Cameras:
    """Cameras from matrices as PyBullet has them, 16 numbers column by column; camera `i` sees scene `i`.

    Args:
        view: Of one camera, or of `b`.
        projection: Of all of them, as `pybullet.computeProjectionMatrixFOV` gives it.
        height: Of the pictures.
        width: Of the pictures.

    Raises:
        errors.CaveError: a matrix is not a camera's, or its pixels would not be square.
    """
    try:
        views = np.asarray(view, np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
    except (ValueError, TypeError):
        raise errors.CaveError(
            "a view matrix is 16 numbers, as pybullet.computeViewMatrix gives them", errors.USAGE
        ) from None
    turns = views[:, :3, :3].transpose(0, 2, 1)
    if not np.isfinite(views).all() or np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max(initial=0) > 1e-3:
        raise errors.CaveError(
            "a view matrix must turn and shift only; was the target not the eye, and up not along the gaze?",
            errors.USAGE,
        )
    across, up = _spread(projection)
    if not math.isclose(across * width, up * height, rel_tol=1e-3):
        raise errors.CaveError(
            f"the projection's aspect is {up / across:.4g}, wanted width / height = "
            f"{width / height if height else math.inf:.4g}",
            errors.USAGE,
        )
    places = -np.einsum("bij,bj->bi", turns, views[:, :3, 3])
    turned = looks.quaternions(turns)
    return scenes.Cameras(
        np.arange(len(views)), places.astype(np.float32), turned, 2 * math.atan(1 / up), height, width
    )


def planes(projection: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Distances of the near and the far plane of a projection matrix."""
    _spread(projection)
    a, b = float(projection[10]), float(projection[14])
    return b / (a - 1), b / (a + 1)


def _spread(projection: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """One over the tangents of half the angles of view, across and up."""
    p = np.asarray(projection, np.float64).ravel()
    used = {0, 5, 10, 11, 14}
    if p.shape != (16,) or not np.isfinite(p).all() or p[11] != -1 or min(p[0], p[5]) <= 0 or any(
        abs(p[i]) > 1e-6 for i in range(16) if i not in used
    ) or not (p[10] < -1 and p[14] < 0):  # fmt: skip
        raise errors.CaveError(
            "a projection matrix must be a symmetric perspective, as pybullet.computeProjectionMatrixFOV gives it, its far "
            "plane behind its near one", errors.USAGE,
        )  # fmt: skip
    return float(p[0]), float(p[5])


def _read(given: tuple[Any, ...]) -> list[_Shape]:
    """What is drawn of an entry of `pybullet.getVisualShapeData`; nothing where it is not seen."""
    body, link, type_, size, file, place, turn, rgba = given[:8]
    what = f"body {body}, link {link}"
    if not np.isfinite((*size, *place, *turn, *rgba)).all():
        raise errors.CaveError(f"{what}: a visual shape has a size, a pose or a colour that is not finite")
    if rgba[3] <= 0 or type_ == pybullet.GEOM_PLANE:
        return []
    if type_ not in _KINDS:
        names = ", ".join(_KINDS.values())
        raise errors.CaveError(f"{what}: a visual shape of type {type_} cannot be drawn; can be drawn: {names}")
    kind, turn = _KINDS[type_], (turn[3], *turn[:3])
    colours = np.tile(np.clip(rgba[:3], 0.0, 1.0), (2, 1))
    if kind == "mesh":
        name = os.fsdecode(file)
        if not os.path.isfile(name):
            raise errors.CaveError(
                f"{what}: its mesh is of no file ({name[:80]!r}), of which PyBullet does not tell the looks"
            )
        look = looks.of_file(name, tuple(bool(x < 0) for x in size))
        size, plane = np.abs(size), look.plane
        shape = functools.partial(_Shape, body, link, rotation=turn)
        # What is not square would have a pattern that is not as high as it is wide.
        if plane is None or min(size[:2]) == 0 or (plane.texture != "plain" and not math.isclose(size[0], size[1])):
            texture = "plain" if look.image is None else "image"
            return [shape("mesh", size, place, colours=colours, texture=texture, image=look.image, mesh=look.mesh)]
        # A flat rectangle lies off its own middle by `centre`.
        middle = np.asarray(place) + scenes.rotation_matrices(np.array(turn)) @ (plane.centre * size)
        edges = np.array([*(plane.half * size[:2]), 0.0])
        period, image = plane.period * float(size[0]), plane.image
        return [
            shape(
                "plane",
                edges,
                middle,
                colours=colours * plane.colours,
                texture=plane.texture,
                period=period,
                image=image,
            )
        ]
    if kind == "box":
        size = [edge / 2 for edge in size]
    elif kind != "sphere":
        size = size[1], size[0] / 2, 0.0
    return [_Shape(body, link, kind, size, place, turn, colours)]
