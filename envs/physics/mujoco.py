"""The state of any MuJoCo model as `Scenes`, so that models that exist get the fast renderer's pixels with no edit.

For a person who has an `MjModel` and an `MjData` and wants a picture, two lines, as with `mujoco.Renderer`:

    renderer = envs.physics.mujoco.Renderer(model, 64, 64)
    picture = renderer.update_scene(data, camera="track") or renderer.render()

and for many states at once `Stage`: `stage.to_scenes(states)`, `stage.cameras(states, ...)`, then any of `scenes.renderers`.

What is kept: planes, spheres, capsules, ellipsoids, cylinders, boxes, meshes (with the normals that MuJoCo draws them with)
and height fields of the visible groups, their colours or their materials', checkers and images of planes, images of boxes
and of meshes that have coordinates, the model's cameras (those that track and orthographic ones, too) and lights, the head
light that goes with a camera, and the sky box, in the mean colour of what a camera sees of it. What is not: reflection,
gloss, transparency (a geom more transparent than not is left out, and a plane is not seen from behind), images on other
geoms and uniform ones on meshes (drawn in their mean colour), the cones and fading of lights; sites, tendons, skins and
flexes.
Where lights add up to more than white, MuJoCo's pictures on meshes are darker: it clips light before it lays them on. A
model that shows a signed distance field is refused. Meshes, height fields and images are those that the model had when its
`Stage` was made.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8

import scenes
from envs.physics import materials
from envs.physics.looks import quaternions
from scenes import renderers
from scenes.geometry import meshes, reading
from scenes.kit import errors

_TYPES = mujoco.mjtGeom
_KINDS = {
    int(_TYPES.mjGEOM_PLANE): "plane", int(_TYPES.mjGEOM_SPHERE): "sphere", int(_TYPES.mjGEOM_CAPSULE): "capsule",
    int(_TYPES.mjGEOM_ELLIPSOID): "ellipsoid", int(_TYPES.mjGEOM_CYLINDER): "cylinder", int(_TYPES.mjGEOM_BOX): "box",
    int(_TYPES.mjGEOM_MESH): "mesh", int(_TYPES.mjGEOM_HFIELD): "mesh",
}  # fmt: skip
GROUPS = (True, True, True, False, False, False)
"""Groups of geoms that are shown: MuJoCo's default."""
_DEFAULT = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
"""The colour of a geom that was given none: its material's counts, if it has one."""


_FAR = 4
"""A plane of as many times a model's extent, each way from its middle, is taken for one without end."""
_LOOKS = 9
"""Rays each way by which a camera looks at the sky."""
_FINITE = (
    "geom_size", "geom_pos", "geom_quat", "geom_rgba", "mat_rgba", "body_pos", "body_quat", "body_mass", "body_inertia",
    "light_pos", "light_dir", "cam_pos", "cam_quat", "cam_fovy", "mesh_vert", "hfield_data", "hfield_size", "qpos0",
)  # fmt: skip
"""Arrays of a model on which pictures and steps depend."""


def read(given: str | Path, root: str | Path | None = None) -> mujoco.MjModel:
    """A model from a file of unknown origin (MJCF or URDF), or from its text.

    MuJoCo sees only text and meshes that were read and found right, and which it has no reason to open files for.

    Args:
        given: Path of the file; or the model itself, text that begins with `<`, which may refer to no files.
        root: Folder that holds everything that it may refer to; by default the file's own.

    Raises:
        errors.CaveError: in one line, it is no model, a file is not there or not what it should be, or exceeds a limit.
    """
    text, files = reading.mjcf_files(given, root)
    what = "<text>" if str(given).lstrip().startswith("<") else str(given)
    try:
        model = mujoco.MjModel.from_xml_string(text, files)
    except (ValueError, RuntimeError, mujoco.FatalError) as error:
        raise errors.CaveError(f"{what}: MuJoCo does not accept it: {str(error)[:300]}") from None
    for name in _FINITE:
        array = np.asarray(getattr(model, name))
        if not (np.abs(array) <= 1e10).all():
            raise errors.CaveError(f"{what}: {name} holds numbers that are not finite, or larger than 1e10")
    return model


@dataclasses.dataclass(frozen=True, eq=False)
class States:
    """What of `b` states of one model a picture depends on; made by `states`."""

    position: Float32[np.ndarray, "b n 3"]
    """Of the geoms that are shown, metres."""
    rotation: Float32[np.ndarray, "b n 4"]
    light_position: Float[np.ndarray, "b l 3"]
    light_direction: Float[np.ndarray, "b l 3"]
    camera_position: Float[np.ndarray, "b c 3"]
    camera_axes: Float[np.ndarray, "b c 3 3"]

    def __len__(self) -> int:
        return len(self.position)


class Stage:
    """A model's looks: which geoms are drawn, as what, and under which lights.

    Args:
        model: A `mujoco.MjModel`.
        groups: Six flags, the groups of geoms that are shown.

    Raises:
        errors.CaveError: a visible geom is of a type that cannot be drawn.
    """

    def __init__(self, model: mujoco.MjModel, groups: Sequence[bool] = GROUPS):
        self.model = model
        colours = _colours(model)
        shown = np.asarray(groups, bool)[np.clip(model.geom_group, 0, 5)] & (colours[:, 3] >= 0.5)
        for i in np.flatnonzero(shown).tolist():
            if int(model.geom_type[i]) not in _KINDS:
                kind = _TYPES(int(model.geom_type[i])).name.removeprefix("mjGEOM_").lower()
                name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, i) or f"number {i}"
                raise errors.CaveError(
                    f"geom {name} is a {kind}, which cannot be drawn yet: hide its group, {int(model.geom_group[i])}, or "
                    f"use mujoco.Renderer; can be drawn: {', '.join(sorted(set(_KINDS.values())))}"
                )
        self.geoms: Int[np.ndarray, " n"] = np.flatnonzero(shown)
        """The model's numbers of the geoms that are drawn: solid `k` of a scene is geom `geoms[k]`."""
        self._kind = np.array([scenes.KINDS.index(_KINDS[int(t)]) for t in model.geom_type[self.geoms]], np.int32)
        self._size = model.geom_size[self.geoms].astype(np.float32)
        boxes = materials.boxes(model, self.geoms)
        self._meshes, self._mesh = _meshes(model, self.geoms, boxes)
        self._kind[self._mesh >= 0] = scenes.KINDS.index("mesh")
        self._size[self._mesh >= 0] = 1  # the size of a mesh is in its vertices
        self._texture, self._scale, self._base, self._pattern, self._images = materials.looks(
            model, self.geoms, colours, boxes
        )
        self._lit = _light_is_on(model)
        self._sky = materials.Sky(model)
        far = (model.geom_size[:, :2] == 0) | (model.geom_size[:, :2] >= _FAR * model.stat.extent)
        endless = (model.geom_type == int(_TYPES.mjGEOM_PLANE)) & far.all(1)
        self._endless = np.flatnonzero(endless[self.geoms])

    def states(self, states: mujoco.MjData | Sequence[mujoco.MjData]) -> States:
        """Copies of what a picture depends on, of one `MjData` or several, whose kinematics are up to date."""
        states = [states] if isinstance(states, mujoco.MjData) else list(states)
        model, n = self.model, len(self.geoms)
        stack = lambda name, *shape: np.array([getattr(data, name) for data in states]).reshape(len(states), *shape)
        try:
            matrices = np.array([data.geom_xmat[self.geoms] for data in states]).reshape(len(states) * n, 9)
            return States(
                np.array([data.geom_xpos[self.geoms] for data in states], np.float32).reshape(len(states), n, 3),
                quaternions(matrices.reshape(-1, 3, 3)).reshape(len(states), n, 4),
                stack("light_xpos", model.nlight, 3), stack("light_xdir", model.nlight, 3),
                stack("cam_xpos", model.ncam, 3), stack("cam_xmat", model.ncam, 3, 3),
            )  # fmt: skip
        except (IndexError, ValueError):
            raise errors.CaveError(
                "these data are of another model: give a mujoco.MjData of the one that is drawn", errors.USAGE
            ) from None

    def to_scenes(self, states: States, cameras: scenes.Cameras | None = None, shadows: bool = False) -> scenes.Scenes:
        """A scene for each state.

        Args:
            states: Of this model.
            cameras: Camera `i` carries the head light of scene `i`; without them it is dark.
            shadows: Whether they will be drawn with shadows: MuJoCo then lights patterns in another way.
        """
        b, n, model = len(states), len(self.geoms), self.model
        tile = lambda array: np.tile(array, (b,) + (1,) * (array.ndim - 1))
        head = model.vis.headlight
        ambient = model.light_ambient[self._lit].sum(0) + (np.asarray(head.ambient) if head.active else 0)
        directional = model.light_type == int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        # A sun's place is the direction towards it.
        places = np.where(directional[:, None], -states.light_direction, states.light_position)
        facing = np.tile([0.0, 0.0, 1.0], (b, 1, 1))
        glow = np.zeros(3)
        lit = self._lit
        if cameras is not None and head.active:
            facing = scenes.rotation_matrices(np.asarray(cameras.rotation, np.float64))[:, None, :, 2]
            glow = np.asarray(head.diffuse)
        places, colours = (
            np.concatenate([places[:, lit], facing], 1),
            np.concatenate([model.light_diffuse[lit], glow[None]]),
        )
        suns = np.append(directional[lit], True)
        casts = np.append(np.asarray(model.light_castshadow, bool)[lit], False)
        # With shadows MuJoCo draws once more for each light that casts any, and adds the pictures up.
        own = casts & shadows
        glows = np.concatenate([model.light_ambient[lit], np.zeros((1, 3))])
        passes = [
            (~own, ambient - glows[own].sum(0)),
            *((np.arange(len(own)) == i, glows[i]) for i in np.flatnonzero(own)),
        ]
        shown = self._texture == materials.IMAGE
        return scenes.Scenes(
            offsets=np.arange(b + 1, dtype=np.int64) * n,
            kind=tile(self._kind),
            size=tile(self._size),
            mesh=tile(self._mesh),
            meshes=self._meshes,
            position=states.position.reshape(-1, 3),
            rotation=states.rotation.reshape(-1, 4),
            texture=tile(self._texture),
            texture_scale=tile(self._scale),
            images=self._images,
            image=tile(np.where(shown, np.cumsum(shown) - 1, -1).astype(np.int32)),
            colour=self._colours(states, places, suns, colours, passes).reshape(-1, 2, 3),
            light_position=places.astype(np.float32),
            light_colour=tile(colours[None]).astype(np.float32),
            light_is_sun=tile(suns[None]),
            light_casts=tile(casts[None]),
            ambient=np.tile(np.asarray(ambient, np.float32), (b, 1)),
            sky=self._skies(states, cameras),
        )

    def _colours(
        self, states: States, places: np.ndarray, suns: np.ndarray, bright: np.ndarray, passes: list[tuple]
    ) -> np.ndarray:
        """Both colours of every solid, b n 2 3; each of the `passes` has some of the lights, and light from everywhere.

        MuJoCo lights a surface, clips, and only then lays the pattern on it, so that a floor under much light shows the
        pattern's own colours. Our renderers clip last; a pattern on a plane is dimmed to match, which is right where suns light
        it, and right below lamps.
        """
        made = np.tile(self._base[:, None] * self._pattern, (len(states), 1, 1, 1))
        planes = np.flatnonzero((self._texture != materials.PLAIN) & (self._mesh < 0))
        if len(planes):
            up = scenes.rotation_matrices(states.rotation[:, planes].astype(np.float64))[..., 2]
            facing = np.einsum("bpi,bli->bpl", up, places)
            above = facing > np.einsum("bpi,bpi->bp", up, states.position[:, planes])[..., None]
            falls = np.where(suns, np.maximum(facing, 0), above)
            lights = [np.maximum(ambient + falls[..., which] @ bright[which], 1e-6) for which, ambient in passes]
            shown = sum(np.minimum(self._base[planes] * light, 1) for light in lights) / sum(lights)
            made[:, planes] = shown[:, :, None] * self._pattern[planes]
        return made.astype(np.float32)

    def _skies(self, states: States, cameras: scenes.Cameras | None) -> Float32[np.ndarray, "b 3"]:
        """The colour of each scene's sky: the mean of what its camera sees of MuJoCo's above planes without end."""
        if cameras is None or not self._sky.varies:
            return np.tile(self._sky.mean, (len(states), 1)).astype(np.float32)
        flat = cameras.extent is not None
        half = 0.0 if flat else math.tan(cameras.fov / 2)
        across, up = (half * np.linspace(-1, 1, _LOOKS) * aspect for aspect in (cameras.width / cameras.height, 1))
        grid = np.stack([*np.meshgrid(across, up), -np.ones((_LOOKS, _LOOKS))], -1).reshape(-1, 3)
        # Most cameras only move: all look the same way.
        planes = states.rotation[:, self._endless].reshape(len(states), -1)
        attitudes, which = np.unique(
            np.hstack([cameras.rotation, planes]).astype(np.float64), axis=0, return_inverse=True
        )
        axes = scenes.rotation_matrices(attitudes.reshape(len(attitudes), -1, 4))
        rays = np.einsum("bij,rj->bri", axes[:, 0], grid)
        open_ = (np.einsum("bri,bpi->brp", rays, axes[:, 1:, :, 2]) >= 0).all(-1)
        open_ |= ~open_.any(1, keepdims=True)
        seen = self._sky.towards(rays) * open_[..., None]
        return (seen.sum(1) / open_.sum(1, keepdims=True)).astype(np.float32)[which.reshape(-1)]

    def cameras(
        self, states: States, height: int, width: int, camera: int | str | mujoco.MjvCamera = -1
    ) -> scenes.Cameras:
        """One camera for each state.

        Args:
            states: Of this model.
            height: Of the pictures.
            width: Of the pictures.
            camera: Name or number of one of the model's; -1 for MuJoCo's free one at its default; or an `MjvCamera`.

        Raises:
            errors.CaveError: the model has no such camera.
        """
        kinds = mujoco.mjtCamera
        if isinstance(camera, mujoco.MjvCamera):
            if camera.type == int(kinds.mjCAMERA_FIXED):
                return self.cameras(states, height, width, int(camera.fixedcamid))
            if camera.type != int(kinds.mjCAMERA_FREE):
                raise errors.CaveError(
                    "an MjvCamera that tracks needs a simulation: give it to a Renderer, name one of the model's, or a free one"
                )
            free = camera
        else:
            number = self._camera(camera)
            if number >= 0:
                turns = quaternions(states.camera_axes[:, number])
                places = states.camera_position[:, number].astype(np.float32)
                fovy, kind = float(self.model.cam_fovy[number]), int(self.model.cam_projection[number])
                flat = kind == int(mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC)
                return scenes.Cameras(np.arange(len(states)), places, turns, *_lens(fovy, height, width, flat))
            free = mujoco.MjvCamera()
            mujoco.mjv_defaultFreeCamera(self.model, free)
        yaw, pitch = math.radians(free.azimuth), math.radians(free.elevation)
        ahead = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
        poses = np.tile([*(np.asarray(free.lookat) - free.distance * ahead), yaw, pitch], (len(states), 1))
        fov, _, _, extent = _lens(float(self.model.vis.global_.fovy), height, width, bool(free.orthographic))
        return scenes.cameras_from_poses(poses, fov, height, width, extent=extent)

    def _camera(self, camera: int | str) -> int:
        model = self.model
        if isinstance(camera, str):
            number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
            if number < 0:
                names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_CAMERA, i) or str(i) for i in range(model.ncam)]
                raise errors.unknown("camera", camera, names)
            return number
        if not isinstance(camera, int | np.integer) or not -1 <= camera < model.ncam:
            raise errors.CaveError(
                f"camera is {camera}, wanted a name, -1 (free) to {model.ncam - 1}, or a mujoco.MjvCamera", errors.USAGE
            )
        return int(camera)


_EDITED = (
    "geom_type", "geom_dataid", "geom_size", "geom_group", "geom_rgba", "geom_matid", "mat_rgba", "mat_texid", "mat_texrepeat",
    "mat_texuniform", "light_active", "light_type",
)  # fmt: skip
"""Arrays of a model on which its looks depend, and which programs change between one picture and the next."""
_EXTRAS = np.array(mujoco.MjvOption().flags)
"""What MuJoCo draws beside geoms unless told otherwise."""
_NEEDED = [int(mujoco.mjtVisFlag.mjVIS_TEXTURE), int(mujoco.mjtVisFlag.mjVIS_STATIC)]


class Renderer:
    """Pictures of one model, with the methods of `mujoco.Renderer`.

    What differs: the size has no frame buffer to fit in; the depth of nothing is infinite, where MuJoCo gives that of its
    far plane; of a `scene_option` the groups of geoms count, and one that asks for decorations is refused; there is no
    `scene` to put geoms in. Beside that, what this module's docstring says is not kept.

    Args:
        model: A `mujoco.MjModel`.
        height: Of the pictures.
        width: Of the pictures.
        max_geom: Of no use here, as is the next: they are taken so that a call stays as it is.
        font_scale: Of letters, which are not drawn.
        shadows: Whether lights cast hard shadows.
        supersample: Rays per pixel each way.

    Raises:
        errors.CaveError: a visible geom is of a type that cannot be drawn.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        height: int = 240,
        width: int = 320,
        max_geom: int | None = None,
        font_scale: Any = None,
        *,
        shadows: bool = False,
        supersample: int = 2,
    ):
        self.model, self.height, self.width = model, height, width
        self._look = {"shadows": shadows, "supersample": supersample}
        self._edited: tuple = ()
        self._set(GROUPS)
        self._cameras: scenes.Cameras | None = None
        self._mode = "rgb"

    def update_scene(
        self,
        data: mujoco.MjData,
        camera: int | str | mujoco.MjvCamera = -1,
        scene_option: mujoco.MjvOption | None = None,
    ) -> None:
        """Take up a state, seen by a camera; kinematics must be up to date (`mj_forward` or a step does that).

        Args:
            data: Of this model.
            camera: Name or number of one of the model's; -1 for MuJoCo's free one at its default; or an `MjvCamera`.
            scene_option: Says which groups of geoms are shown.

        Raises:
            errors.CaveError: there is no such camera, or what `scene_option` wants beside geoms is not drawn here.
        """
        self._set(GROUPS if scene_option is None else _groups(scene_option))
        states = self._stage.states(data)
        if isinstance(camera, mujoco.MjvCamera) and camera.type == int(mujoco.mjtCamera.mjCAMERA_TRACKING):
            camera = _tracking(self.model, data, camera)
        self._cameras = self._stage.cameras(states, self.height, self.width, camera)
        batch = self._stage.to_scenes(states, self._cameras, self._look["shadows"])
        if self._handle is None:
            self._handle = renderers.load("raycast", batch, **self._look)
        else:
            self._handle.update(batch, np.zeros(1, np.int64))

    def _set(self, groups: tuple[bool, ...]) -> None:
        """A stage of those groups, and of the looks that the model has now."""
        edited = (groups, *(getattr(self.model, name).tobytes() for name in _EDITED))
        if edited != self._edited:
            self._stage, self._edited = Stage(self.model, groups), edited
            self._handle: Any = None

    def render(
        self, out: np.ndarray | None = None
    ) -> UInt8[np.ndarray, "h w 3"] | Float32[np.ndarray, "h w"] | np.ndarray:
        """The picture: uint8 (h, w, 3); depth in metres, float32 (h, w); or, where segmentation is on, int32 (h, w, 2),
        number and type of what is seen, -1 for nothing, as MuJoCo gives them."""
        if self._cameras is None:
            raise errors.CaveError("there is nothing to draw: call update_scene first")
        frames = self._handle.render(self._cameras)
        if self._mode == "rgb":
            made = frames.rgb[0]
        elif self._mode == "depth":
            made = frames.depth[0]
        else:
            ids = frames.ids[0]
            geoms = np.where(ids >= 0, self._stage.geoms[np.maximum(ids, 0)] if len(self._stage.geoms) else -1, -1)
            kind = np.where(ids >= 0, int(mujoco.mjtObj.mjOBJ_GEOM), -1)
            made = np.stack([geoms, kind], -1).astype(np.int32)
        if out is None:
            return made.copy()
        if out.shape != made.shape:
            raise errors.CaveError(f"out has shape {out.shape}, wanted {made.shape}", errors.USAGE)
        out[...] = made
        return out

    def enable_depth_rendering(self) -> None:
        """From now on `render` gives depth."""
        self._mode = "depth"

    def disable_depth_rendering(self) -> None:
        """If `render` gave depth, from now on it gives colours."""
        self._disable("depth")

    def enable_segmentation_rendering(self) -> None:
        """From now on `render` says which geom is seen."""
        self._mode = "segmentation"

    def disable_segmentation_rendering(self) -> None:
        """If `render` said which geom is seen, from now on it gives colours."""
        self._disable("segmentation")

    def _disable(self, mode: str) -> None:
        self._mode = "rgb" if self._mode == mode else self._mode

    def close(self) -> None:
        """Let go of the arrays."""
        self._handle = self._cameras = None

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _groups(option: mujoco.MjvOption) -> tuple[bool, ...]:
    """The groups of geoms that a scene option shows; CaveError, in one line, if it wants what is not drawn here."""
    wrong = (option.flags > _EXTRAS).astype(bool)
    wrong[_NEEDED] = option.flags[_NEEDED] == 0
    told = [mujoco.mjtVisFlag(i).name for i in np.flatnonzero(wrong).tolist()]
    told += [name for name in ("label", "frame") if getattr(option, name)]
    if told:
        raise errors.CaveError(
            f"scene_option: {', '.join(told)} differs from MuJoCo's default, and only geomgroup counts here: leave it, or "
            "use mujoco.Renderer", errors.USAGE,
        )  # fmt: skip
    return tuple(bool(shown) for shown in option.geomgroup)


def _tracking(model: mujoco.MjModel, data: mujoco.MjData, camera: mujoco.MjvCamera) -> mujoco.MjvCamera:
    """The free camera that sees what a tracking one does now: it looks at the centre of mass of a body and all below it."""
    body = camera.trackbodyid
    if not 0 <= body < model.nbody:
        raise errors.CaveError(f"the camera's trackbodyid is {body}, wanted 0 to {model.nbody - 1}", errors.USAGE)
    free = mujoco.MjvCamera()
    free.type, free.orthographic = mujoco.mjtCamera.mjCAMERA_FREE, camera.orthographic
    free.lookat, free.distance = data.subtree_com[body], camera.distance
    free.azimuth, free.elevation = camera.azimuth, camera.elevation
    return free


def _lens(fovy: float, height: int, width: int, flat: bool) -> tuple[float, int, int, float | None]:
    """What cameras are given last; MuJoCo's `fovy` is in degrees, or of an orthographic camera in metres."""
    return (math.pi / 2, height, width, float(fovy)) if flat else (math.radians(fovy), height, width, None)


def _colours(model: mujoco.MjModel) -> Float32[np.ndarray, "n 4"]:
    """Colour of every geom: its own, or its material's where it was given none."""
    colours = np.array(model.geom_rgba, np.float32).reshape(-1, 4)
    has = model.geom_matid >= 0
    plain = has & (colours == _DEFAULT).all(1)
    colours[plain] = model.mat_rgba[model.geom_matid[plain]]
    return colours


def _meshes(
    model: mujoco.MjModel, geoms: Int[np.ndarray, " n"], boxes: dict[int, tuple[scenes.Mesh, np.ndarray]]
) -> tuple[tuple[scenes.Mesh, ...], Int32[np.ndarray, " n"]]:
    """The meshes and height fields of some geoms, and `boxes`, each once; and which of them each geom is, -1 for none."""
    makers = {int(_TYPES.mjGEOM_MESH): _mesh, int(_TYPES.mjGEOM_HFIELD): _height_field}
    keys: list[Any] = []
    for geom in geoms.tolist():
        repeats = tuple(materials.repeats(model, geom).tolist())
        key = (int(model.geom_type[geom]), int(model.geom_dataid[geom]), repeats)
        keys.append(boxes[geom][0] if geom in boxes else key if key[0] in makers else None)
    number = {key: i for i, key in enumerate(dict.fromkeys(key for key in keys if key is not None))}
    make = lambda kind, row, repeat: makers[kind](model, row, np.float32(repeat))
    try:
        made = tuple(key if isinstance(key, scenes.Mesh) else make(*key) for key in number)
    except ValueError as error:
        raise errors.CaveError(f"the model has what cannot be drawn: {error}") from None
    return made, np.array([number.get(key, -1) for key in keys], np.int32)


def _mesh(model: mujoco.MjModel, row: int, repeat: Float32[np.ndarray, " 2"]) -> scenes.Mesh:
    part = lambda array, first, count: array[first[row] : first[row] + count[row]]
    vertices = part(model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum).astype(np.float32)
    faces = part(model.mesh_face, model.mesh_faceadr, model.mesh_facenum).astype(np.int32)
    normals = part(model.mesh_normal, model.mesh_normaladr, model.mesh_normalnum)
    normals = normals[part(model.mesh_facenormal, model.mesh_faceadr, model.mesh_facenum)]
    # MuJoCo draws a corner with its face's own normal where the given one is far from that, but not on a mesh that
    # has coordinates of a texture.
    has = model.mesh_texcoordadr[row] >= 0
    normals = meshes.creased(vertices, faces, normals, -math.inf if has else 0.8)
    if not repeat.any():
        return scenes.Mesh(vertices, faces, normals)
    coordinates = part(model.mesh_texcoord, model.mesh_texcoordadr, model.mesh_texcoordnum).astype(np.float32)
    coordinates = coordinates[part(model.mesh_facetexcoord, model.mesh_faceadr, model.mesh_facenum)]
    # Its pictures begin at their top.
    return scenes.Mesh(vertices, faces, normals, np.float32([0, 1]) + np.float32([1, -1]) * repeat * coordinates)


def _height_field(model: mujoco.MjModel, row: int, _: np.ndarray) -> scenes.Mesh:
    rows, columns, first = (int(a[row]) for a in (model.hfield_nrow, model.hfield_ncol, model.hfield_adr))
    half_x, half_y, high, base = (float(number) for number in model.hfield_size[row])
    heights = model.hfield_data[first : first + rows * columns].reshape(rows, columns)
    return meshes.height_field(high * heights, half_x, half_y, base)


def _light_is_on(model: mujoco.MjModel) -> Bool[np.ndarray, " l"]:
    kinds = mujoco.mjtLightType
    drawn = [int(kinds.mjLIGHT_SPOT), int(kinds.mjLIGHT_DIRECTIONAL), int(kinds.mjLIGHT_POINT)]
    return np.asarray(model.light_active, bool) & np.isin(model.light_type, drawn)
