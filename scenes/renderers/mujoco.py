"""MuJoCo's own renderer (OpenGL) behind the same contract: to compare with, in pictures and in speed.

Images are drawn on planes (blurred where they are seen at an angle); on other solids they are of their mean colour, and
patterns are of the mean of their two, everywhere. Cones and tori are meshes; round things have the number of facets
that is MuJoCo's default. The nearest centimetre before a camera and what lies further than a kilometre are not drawn.
Where it differs from the contract: under `shadows` planes cast them too, so walls darken a floor.

It needs an off-screen OpenGL library, and finds it by `MUJOCO_GL` (egl, osmesa or glfw; egl unless that is set). Nothing
is imported before `load`. OpenGL belongs to a thread, so one thread of this module makes all of its calls.
"""

import concurrent.futures
import importlib
import math
import os
import weakref
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int

import scenes
from scenes import geometry, renderers
from scenes.geometry import meshes
from scenes.kit import errors

_NEAR, _FAR = 0.01, 1000.0
_SHADOWS = 4096
"""Rows and columns of a shadow map: MuJoCo's default."""
_MEMORY = 2**30
"""Bytes that the shadow maps of all scenes of a handle may take; each scene has its own."""
_PLANE, _CONE, _TORUS, _MESH = (scenes.KINDS.index(name) for name in ("plane", "cone", "torus", "mesh"))

_gl = concurrent.futures.ThreadPoolExecutor(1, "mujoco-gl")
_context = None


def load(
    batch: scenes.Scenes,
    shadows: bool = False,
    supersample: int = 1,
    sensors: tuple[str, ...] = renderers.USUAL,
    capacity: int = 0,
    multisample: int = 0,
) -> "Handle":
    """Make scenes ready to be drawn.

    Args:
        batch: At least one scene.
        shadows: Whether lights cast shadows, of planes too, by a map of 4096 squared (MuJoCo's default).
        supersample: Samples per pixel each way, where `multisample` is 0: what other renderers call it.
        sensors: Which of `renderers.USUAL` are wanted; the frames' other arrays may stay as they were.
        capacity: Of no use here: scenes are kept one by one.
        multisample: Samples per pixel; 0 for none, 4 is MuJoCo's default.

    Raises:
        errors.CaveError: the scenes or the options cannot be drawn, or there is no OpenGL.
    """
    if supersample not in range(1, 9) or not 0 <= multisample <= 64:
        given = f"supersample is {supersample} and multisample {multisample}"
        raise errors.CaveError(f"mujoco: {given}, wanted 1 to 8 and 0 to 64", errors.USAGE)
    renderers.check_sensors(sensors, renderers.USUAL)
    renderers.check_scenes(batch)
    samples = multisample or (supersample**2 if supersample > 1 else 0)
    mujoco = _gl.submit(_begin).result()
    return Handle(mujoco, batch, bool(shadows), samples, sensors)


def _begin() -> ModuleType:
    """MuJoCo, with this process's OpenGL context current in this thread."""
    global _context
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    backend = asked if asked in ("egl", "osmesa", "glfw") else "egl"
    try:
        import mujoco

        if _context is None:
            context = importlib.import_module(f"mujoco.{backend}").GLContext(64, 64)
            context.make_current()
            _context = context
        return mujoco
    except (
        Exception
    ) as error:  # each library that lacks has its own: ImportError, AttributeError, RuntimeError, GLError
        raise errors.CaveError(
            f"the renderer 'mujoco' found no off-screen OpenGL ({backend}: {type(error).__name__}: {error}); on Debian, "
            "apt-get install libegl1 libgl1-mesa-dri and set MUJOCO_GL=egl, or libosmesa6 and MUJOCO_GL=osmesa; "
            "the renderer 'raycast' needs none"
        ) from error


class Handle:
    """Scenes that are ready to be drawn, and the arrays they are drawn into. See `scenes.renderers`."""

    def __init__(self, mujoco: ModuleType, batch: scenes.Scenes, shadows: bool, samples: int, sensors: tuple[str, ...]):
        self._mujoco, self._shadows, self._samples = mujoco, shadows, samples
        self._wanted = ("rgb" in sensors, "depth" in sensors or "ids" in sensors)
        self._batches = [batch[i] for i in range(len(batch))]
        self._most = max(1, _MEMORY // (4 * _SHADOWS**2)) if shadows else 1024
        # Drawn least recently first. The list outlives the handle, so that its OpenGL thread can empty it.
        self._stages: dict[int, _Stage] = {}
        self._frames: scenes.Frames | None = None
        weakref.finalize(self, _forget, self._stages).atexit = False

    def update(self, batch: scenes.Scenes, rows: Int[np.ndarray, " b"]) -> None:
        """Put other scenes in the places `rows` of the loaded batch; the rest stays.

        Raises:
            errors.CaveError: the scenes cannot be drawn, or do not fit the places.
        """
        renderers.check_scenes(batch)
        rows = renderers.check_rows(batch, rows, len(self._batches))
        for i, row in enumerate(rows.tolist()):
            self._batches[row] = batch[i]
        _gl.submit(lambda: [self._stages.pop(row, None) for row in rows.tolist()]).result()

    def render(
        self,
        cameras: scenes.Cameras,
        poses: tuple[np.ndarray, np.ndarray] | None = None,
        mask: np.ndarray | None = None,
        out: scenes.Frames | None = None,
        flow_to: None = None,
    ) -> scenes.Frames:
        """Draw what `b` cameras see; arguments and result are those of `scenes.renderers`.

        Raises:
            errors.CaveError: cameras, poses, mask or out do not fit, or hold values that are not finite.
        """
        renderers.check_cameras(cameras, len(self._batches))
        renderers.check_flow(flow_to, cameras, False, len(self._batches))
        b, size = len(cameras), (cameras.height, cameras.width)
        n = sum(len(batch.kind) for batch in self._batches)
        if poses is not None:
            poses = renderers.check_poses(poses, n)
        mask = renderers.check_mask(mask, b)
        if out is None:
            out = self._frames = renderers.frames(self._frames, b, *size)
        renderers.check_out(out, b, *size)
        _gl.submit(self._draw, cameras, poses, mask, out).result()
        return out

    def _draw(self, cameras: scenes.Cameras, poses: Any, mask: np.ndarray, out: scenes.Frames) -> None:
        """What `render` does, in the thread that has OpenGL."""
        size = (cameras.height, cameras.width)
        chosen = np.flatnonzero(mask)
        offsets = np.concatenate([[0], np.cumsum([len(batch.kind) for batch in self._batches])])
        axes = scenes.rotation_matrices(np.asarray(cameras.rotation, np.float64))
        rows = np.asarray(cameras.scene)[chosen]
        before = None
        for i in chosen[np.argsort(rows, kind="stable")].tolist():
            row = int(cameras.scene[i])
            if row != before:
                stage, before = self._stage(row, size), row
                batch, own = self._batches[row], slice(offsets[row], offsets[row + 1])
                stage.pose(*((batch.position, batch.rotation) if poses is None else (poses[0][own], poses[1][own])))
            stage.see(cameras.position[i], axes[i], cameras)
            if self._wanted[0]:
                stage.colour(out.rgb[i])
            if self._wanted[1]:
                stage.measure(out.depth[i], out.ids[i])

    def _stage(self, row: int, size: tuple[int, int]) -> "_Stage":
        """The stage of scene `row`, for pictures of that size."""
        stage = self._stages.pop(row, None)
        if stage is None or stage.size != size:
            while len(self._stages) >= self._most:
                self._stages.pop(next(iter(self._stages)))
            stage = _Stage(self._mujoco, self._batches[row], size, self._shadows, self._samples)
        self._stages[row] = stage
        return stage


def _forget(stages: dict[int, "_Stage"]) -> None:
    """Free what a handle held in OpenGL, in the thread that has it."""
    _gl.submit(stages.clear)


class _Stage:
    """One scene in MuJoCo: its model, and the OpenGL objects of it."""

    def __init__(self, mujoco: ModuleType, batch: scenes.Scenes, size: tuple[int, int], shadows: bool, samples: int):
        self._mujoco, self.size = mujoco, size
        self._model = model = _model(mujoco, batch)
        model.vis.global_.offheight, model.vis.global_.offwidth = size
        model.vis.quality.shadowsize = _SHADOWS if shadows else 0
        model.vis.quality.offsamples = samples
        self._data = mujoco.MjData(model)
        self._view, self._option = mujoco.MjvCamera(), mujoco.MjvOption()
        self._scene = mujoco.MjvScene(model, maxgeom=len(batch.kind) + 8)
        flags = mujoco.mjtRndFlag
        self._scene.flags[flags.mjRND_SHADOW] = shadows
        for flag in (flags.mjRND_HAZE, flags.mjRND_FOG, flags.mjRND_REFLECTION):
            self._scene.flags[flag] = False
        self._fog, self._foggy = int(flags.mjRND_FOG), bool(batch.fog.any())
        self._modes = [int(flags.mjRND_SEGMENT), int(flags.mjRND_IDCOLOR)]
        self._planes = np.flatnonzero(batch.kind == _PLANE)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._rect = mujoco.MjrRect(0, 0, size[1], size[0])
        self._rgb, self._code = np.zeros((2, *size, 3), np.uint8)
        self._depth = np.zeros(size, np.float32)
        self._position = self._rotation = None

    def pose(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Put the solids where they are now."""
        if self._position is not None and (position == self._position).all() and (rotation == self._rotation).all():
            return
        self._position, self._rotation = np.array(position), np.array(rotation)
        self._normal = scenes.rotation_matrices(self._rotation[self._planes])[..., 2]
        # Body 0 is the world, body i + 1 carries solid i: MuJoCo then minds that it moved the axes of meshes.
        self._model.body_pos[1:], self._model.body_quat[1:] = position, rotation
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        everything = self._mujoco.mjtCatBit.mjCAT_ALL
        self._mujoco.mjv_updateScene(self._model, self._data, self._option, None, self._view, everything, self._scene)
        shown = list(self._scene.geoms[: self._scene.ngeom])
        self._solid = np.full(max([0, *(geom.segid for geom in shown)]) + 2, -1, np.int32)
        for geom in shown:
            self._solid[geom.segid + 1] = geom.objid
        self._geoms = {geom.objid: geom for geom in shown}
        self._codes = {geom.objid: geom.segid for geom in shown}

    def see(self, position: np.ndarray, axes: np.ndarray, cameras: scenes.Cameras) -> None:
        """Put the camera where it is now."""
        self._flat = cameras.extent is not None
        top = cameras.extent / 2 if self._flat else _NEAR * math.tan(cameras.fov / 2)
        for eye in self._scene.camera:
            eye.pos, eye.forward, eye.up = position, -axes[:, 2], axes[:, 1]
            eye.frustum_center, eye.frustum_width = 0.0, 0.0
            eye.frustum_bottom, eye.frustum_top = -top, top
            eye.frustum_near, eye.frustum_far = _NEAR, _FAR
            eye.orthographic = self._flat
        # MuJoCo shows the back of a plane, too.
        seen_from = axes[None, :, 2] if self._flat else position - self._position[self._planes]
        front = np.einsum("ni,ni->n", np.broadcast_to(seen_from, self._normal.shape), self._normal) > 0
        for plane, seen in zip(self._planes.tolist(), front.tolist()):
            self._geoms[plane].rgba[3] = float(seen)
            self._geoms[plane].segid = self._codes[plane] if seen else -1
        # All stages share one OpenGL context; whose frame buffer is drawn into must be said each time.
        self._mujoco.mjr_setBuffer(self._mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)

    def colour(self, rgb: np.ndarray) -> None:
        """The picture, into `rgb`."""
        self._scene.flags[self._fog] = self._foggy
        self._mujoco.mjr_render(self._rect, self._scene, self._context)
        self._scene.flags[self._fog] = False
        self._mujoco.mjr_readPixels(self._rgb, None, self._rect, self._context)
        rgb[...] = self._rgb[::-1]

    def measure(self, depth: np.ndarray, ids: np.ndarray) -> None:
        """Depth and ids, by a picture of what belongs to which solid."""
        self._scene.flags[self._modes] = True
        self._mujoco.mjr_render(self._rect, self._scene, self._context)
        self._scene.flags[self._modes] = False
        self._mujoco.mjr_readPixels(self._code, self._depth, self._rect, self._context)
        code = self._code[::-1].astype(np.int32)
        ids[...] = self._solid[code[..., 0] + (code[..., 1] << 8) + (code[..., 2] << 16)]
        # The buffer falls from 1 at the near plane to 0 at the far one: by near / (far - near) * (far / depth - 1), or,
        # where rays are parallel, evenly.
        stored = self._depth[::-1].astype(np.float64)
        if self._flat:
            depth[...] = _FAR - stored * (_FAR - _NEAR)
        else:
            depth[...] = _FAR * _NEAR / (_NEAR + stored * (_FAR - _NEAR))
        depth[ids < 0] = np.inf


def _model(mujoco: ModuleType, batch: scenes.Scenes) -> Any:
    """The model of one scene: body `i + 1` carries geom `i`, which is solid `i`."""
    spec = mujoco.MjSpec()
    # Nothing moves by its weight, and of what is flat and thin MuJoCo would doubt it.
    spec.compiler.balanceinertia = True
    spec.stat.extent, spec.stat.center = 1.0, (0.0, 0.0, 0.0)
    spec.visual.map.znear, spec.visual.map.zfar = _NEAR, _FAR
    reach = geometry.reach(batch)
    spec.visual.map.shadowclip = reach
    spec.visual.map.fogstart, spec.visual.map.fogend = batch.fog[0]
    spec.visual.rgba.fog = (*batch.sky[0], 1.0)
    light = spec.visual.headlight
    light.active, light.ambient, light.diffuse, light.specular = 1, batch.ambient[0], np.zeros(3), np.zeros(3)
    sky = batch.sky[0]
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=sky, rgb2=sky, width=8, height=48,
    )  # fmt: skip
    lights = batch.light_position[0], batch.light_colour[0], batch.light_is_sun[0], batch.light_casts[0]
    for place, colour, sun, casts in zip(*lights, strict=True):
        if not colour.any():
            continue
        kinds = mujoco.mjtLightType
        # MuJoCo's OpenGL leaves lights of type point dark; a spot light of 180 degrees is one.
        spec.worldbody.add_light(
            type=kinds.mjLIGHT_DIRECTIONAL if sun else kinds.mjLIGHT_SPOT,
            pos=place * (2 * reach if sun else 1), dir=-place if sun else (0, 0, -1), castshadow=casts,
            ambient=np.zeros(3), diffuse=colour, specular=np.zeros(3), attenuation=(1, 0, 0), cutoff=180, exponent=0,
        )  # fmt: skip
    colours = geometry.plain_colours(batch)
    for i, kind in enumerate(batch.kind.tolist()):
        look = {"rgba": (*colours[i], 1.0)}
        if kind == _PLANE and batch.image[i] >= 0:
            look = {"rgba": (*batch.colour[i, 0], 1.0), "material": _material(mujoco, spec, batch, i)}
        size = batch.size[i].astype(np.float64)
        body = spec.worldbody.add_body(pos=batch.position[i], quat=batch.rotation[i])
        if kind in (_CONE, _TORUS, _MESH):
            mesh = spec.add_mesh(name=f"mesh{i}", **_triangles(batch, i))
            # It has no thickness to weigh: bodies stand still.
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, contype=0, conaffinity=0, **look)
        else:
            # A plane's third number is the distance of the lines MuJoCo would cut it along, which must be positive.
            size = (*size[:2], 1.0) if kind == _PLANE else size
            name = f"mjGEOM_{scenes.KINDS[kind].upper()}"
            body.add_geom(type=getattr(mujoco.mjtGeom, name), size=size, contype=0, conaffinity=0, **look)
    return spec.compile()


def _material(mujoco: ModuleType, spec: Any, batch: scenes.Scenes, i: int) -> str:
    """Make what solid `i`, a plane, shows its image by; returns its name."""
    picture, name = batch.images[batch.image[i]], f"image{i}"
    h, w = picture.shape[:2]
    periods = batch.texture_scale[i] * np.array([1, h / w])
    # MuJoCo's pictures begin at the upper left corner of a plane, or where it has no bounds have their middle at its.
    across, down = (float(0.5 - size / period) if size else 0.0 for size, period in zip(batch.size[i], periods))
    picture = geometry.repeated(picture, h, w, down, across)
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=w, height=h, nchannel=3)
    texture.data = picture.tobytes()
    material = spec.add_material(name=name, texuniform=True, specular=0, shininess=0)
    # Repeats over two metres.
    material.texrepeat = 2 / periods
    material.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name
    return name


def _triangles(batch: scenes.Scenes, i: int) -> dict[str, np.ndarray]:
    """The mesh of solid `i` as MuJoCo takes it."""
    corners, faces = meshes.of(batch, i)
    if batch.kind[i] != _MESH:
        return {"uservert": corners.ravel(), "userface": faces.ravel()}
    own = batch.meshes[batch.mesh[i]]
    triangles = corners.astype(np.float64)[faces]
    area = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals = np.repeat(area[:, None], 3, 1) if own.normals is None else own.normals / batch.size[i]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-30)
    # MuJoCo wants one normal a vertex, so each face gets three of its own, and takes them as they are only of a mesh
    # that has coordinates of a texture.
    named = np.arange(3 * len(faces), dtype=np.int32)
    normals, flat = normals.astype(np.float32).reshape(-1, 3), np.zeros((len(named), 2), np.float32)
    given = {"uservert": corners[faces].reshape(-1, 3), "usernormal": normals, "usertexcoord": flat}
    # Nor has it meshes of fewer than four vertices.
    spare = max(0, 4 - len(named))
    return {k: np.concatenate([v, v[-1:].repeat(spare, 0)]).ravel() for k, v in given.items()} | {"userface": named}
