"""How fast MuJoCo models are drawn and moved, and how like MuJoCo's own pictures ours are: `envs.benchmark gymnasium`, and
`mjcf` for files.

Both sides start from the same joints' positions and end with the same arrays: kinematics, what is to be drawn, colours in one
pass and depth and ids in another. Neither has what the other lacks: no fog, haze or reflections.
"""

import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

import envs
import scenes
from envs import registered, speed
from envs.gymnasium import Config, camera_of, named_camera
from envs.physics import batch, screen
from envs.physics import mujoco as models
from envs.registered import tasks
from scenes import renderers
from scenes.kit import errors, seeds, sheets

_PLAYED = 20
"""Random actions before a state is drawn."""
_HELD = 5
"""Steps of a file's model for each of them."""
_SHEET, _PAIRS = 160, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """Options of pictures, ours and theirs."""

    size: int = 64
    """Height and width of pictures, in pixels."""
    sensors: tuple[str, ...] = renderers.USUAL
    """What is drawn, of rgb, depth and ids."""
    shadows: bool = False
    """Whether lights cast shadows, here and there."""
    supersample: int = 1
    """Rays per pixel each way, against as many samples per pixel there."""
    n_states: int = 256
    """States drawn together."""
    rounds: int = 5
    """Rounds, of which the best counts."""
    n_mujoco: int = 16
    """Of the states, how many MuJoCo's own renderer draws, and how many worlds Gymnasium steps; 0: neither."""
    json: Path | None = None
    """File to write the figures to."""
    sheet: Path | None = None
    """PNG file to write, our pictures beside MuJoCo's, in pairs."""

    def __post_init__(self):
        renderers.check_sensors(self.sensors)
        if not self.sensors:
            raise errors.CaveError(f"--sensors names none: choose from {', '.join(renderers.USUAL)}", errors.USAGE)
        limits = dict.fromkeys(("n_states", "rounds"), (1, 10**6))
        errors.within("benchmark", self, limits | {"size": (1, renderers.LARGEST), "supersample": (1, 8)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Pictures):
    """Options of the benchmark of environments."""

    all: bool = False
    """All eleven MuJoCo environments of Gymnasium instead of the one of --env.id."""
    n_worlds: int = 256
    """Worlds that are stepped together."""
    n_steps: int = 10
    """Steps of a round of them."""

    def __post_init__(self):
        super().__post_init__()
        errors.within("benchmark", self, dict.fromkeys(("n_worlds", "n_steps"), (1, 10**6)))

    def ids(self, config: Config) -> list[str]:
        """Which environments are measured."""
        return list(tasks.TASKS) if self.all else [config.id]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileOptions(Pictures):
    """Options of the benchmark of files."""

    root: Path | None = None
    """Folder that holds all files that the models refer to; by default each model's own."""
    camera: str = ""
    """The name or number of one of a model's cameras; "free" for the one that MuJoCo's viewer begins with; by default the model's
    camera "track", or "free" if it has none."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is drawn."""

    name: str
    model: mujoco.MjModel
    camera: int | str | mujoco.MjvCamera
    """As `Stage.cameras` takes it."""
    states: Callable[[int], Float[np.ndarray, "n q"]]
    """Positions of the joints in so many different states."""


def of_environment(env_id: str, camera: str) -> Subject:
    """The model of an environment, in states of random play.

    Args:
        env_id: Of a MuJoCo environment.
        camera: As `envs.gymnasium.Config.camera`.

    Raises:
        errors.CaveError: the environment has no MuJoCo model.
    """
    env = registered.make(env_id).unwrapped
    if not isinstance(getattr(env, "model", None), mujoco.MjModel):
        raise errors.CaveError(f"{env_id} has no MuJoCo model to draw: choose one that has", errors.USAGE)
    return Subject(env_id, env.model, camera_of(env, camera), functools.partial(_played, env, env_id))


def of_file(path: Path, root: Path | None, camera: str) -> Subject:
    """The model of a file (MJCF or URDF), in states that random controls bring it to from its first keyframe, if it has one.

    Args:
        path: The file.
        root: As `envs.physics.mujoco.read` takes it.
        camera: As `FileOptions.camera`.

    Raises:
        errors.CaveError: the model cannot be read, or has no such camera.
    """
    model = models.read(path, root)
    view = named_camera(model, camera)
    if view is None:
        view = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(model, view)
    elif isinstance(view, str) and mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, view) < 0:
        raise errors.unknown(f"camera of {path}", view, ["free", *(model.camera(i).name for i in range(model.ncam))])
    return Subject(f"{path.absolute().parent.name}/{path.stem}", model, view, functools.partial(_shaken, model, path))


def ours(subject: Subject, n: int, size: int, **look: Any) -> screen.Screen:
    """`n` states as pictures of that many pixels each way, by the ray caster with options `look`."""
    return screen.Screen(models.Stage(subject.model), n, (size, size), subject.camera, **look)


def draw(made: screen.Screen, qpos: Float[np.ndarray, "b q"]) -> scenes.Frames:
    """Pictures of as many states as the screen has."""
    return made.draw(np.arange(made.n), qpos)[1]


class Native:
    """The same by MuJoCo's own renderer, one state after the other. It needs off-screen OpenGL (`MUJOCO_GL`).

    Args:
        like: Whose model, camera, size and geoms it takes.
        sensors: Which passes are made.
        shadows: Whether lights cast them, by MuJoCo's default map.
        samples: Of each pixel; 0 for one.

    Raises:
        errors.CaveError: there is no OpenGL.
    """

    def __init__(self, like: screen.Screen, sensors: tuple[str, ...], shadows: bool, samples: int):
        self._model, size = like.stage.model, like.size[0]
        backend = os.environ.get("MUJOCO_GL", "").lower().strip() or "egl"
        try:
            self._gl = importlib.import_module(f"mujoco.{backend}").GLContext(size, size)
            self._gl.make_current()
        except Exception as error:  # each library that lacks has its own
            raise errors.CaveError(f"no off-screen OpenGL ({backend}: {type(error).__name__}: {error})") from error
        vis = self._model.vis
        vis.global_.offwidth, vis.global_.offheight, vis.quality.offsamples = size, size, samples
        self._data, self._option = mujoco.MjData(self._model), mujoco.MjvOption()
        self._scene = mujoco.MjvScene(self._model, maxgeom=self._model.ngeom + 64)
        flags = mujoco.mjtRndFlag
        self._scene.flags[flags.mjRND_SHADOW] = shadows
        for flag in (flags.mjRND_REFLECTION, flags.mjRND_HAZE, flags.mjRND_FOG):
            self._scene.flags[flag] = False
        self._modes = [int(flags.mjRND_SEGMENT), int(flags.mjRND_IDCOLOR)]
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._rect, self._camera = mujoco.MjrRect(0, 0, size, size), _view(self._model, like.camera)
        self._solid = np.full(self._model.ngeom + 1, -1)
        self._solid[like.stage.geoms] = np.arange(len(like.stage.geoms))
        self._painted, self._measured = "rgb" in sensors, bool({"depth", "ids"} & set(sensors))

    def draw(self, qpos: Float[np.ndarray, "b q"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures, depths as OpenGL holds them, and codes of what is seen, upside down as it gives them."""
        shape = (len(qpos), self._rect.height, self._rect.width)
        rgb, code, depth = np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32)
        for i, positions in enumerate(qpos):
            self._pose(positions)
            if self._painted:
                mujoco.mjr_render(self._rect, self._scene, self._context)
                mujoco.mjr_readPixels(rgb[i], None, self._rect, self._context)
            if self._measured:
                self._scene.flags[self._modes] = True
                mujoco.mjr_render(self._rect, self._scene, self._context)
                self._scene.flags[self._modes] = False
                mujoco.mjr_readPixels(code[i], depth[i], self._rect, self._context)
        return rgb, depth, code

    def _pose(self, positions: np.ndarray) -> None:
        self._data.qpos[:] = positions
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        everything = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, self._camera, everything, self._scene
        )  # fmt: skip

    def frames(self, qpos: Float[np.ndarray, "b q"]) -> scenes.Frames:
        """What `draw` gives, as the ray caster would: upright, in metres, with the numbers of solids."""
        rgb, depth, code = (array[:, ::-1] for array in self.draw(qpos))
        ids = np.full(depth.shape, -1, np.int32)
        numbers = code.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
        for i, positions in enumerate(qpos):
            self._pose(positions)
            shown = [self._scene.geoms[k] for k in range(self._scene.ngeom)]
            table = np.full(max([0, *(geom.segid for geom in shown)]) + 2, -1)
            for geom in shown:
                if geom.objtype == int(mujoco.mjtObj.mjOBJ_GEOM):
                    table[geom.segid + 1] = self._solid[geom.objid]
            ids[i] = table[numbers[i]]
        extent, planes = self._model.stat.extent, self._model.vis.map
        near, far = planes.znear * extent, planes.zfar * extent
        metres = far * near / (near + depth.astype(np.float64) * (far - near))
        return scenes.Frames(rgb, np.where(ids >= 0, metres, np.inf).astype(np.float32), ids)

    def close(self) -> None:
        """Let go of OpenGL."""
        self._context.free()
        self._gl.free()


def _view(model: mujoco.MjModel, camera: int | str | mujoco.MjvCamera) -> mujoco.MjvCamera:
    if isinstance(camera, mujoco.MjvCamera):
        return camera
    view = mujoco.MjvCamera()
    view.type = mujoco.mjtCamera.mjCAMERA_FIXED
    view.fixedcamid = camera if isinstance(camera, int) else model.camera(camera).id
    return view


def _played(env: Any, env_id: str, n: int) -> Float[np.ndarray, "n q"]:
    """Positions of the joints in `n` different states of random play."""
    moved, rng = batch.Batch(env.model, n, ("qpos",)), seeds.generator(0, "benchmark", env_id)
    for row in range(n):
        env.reset(seed=row)
        mujoco.mj_copyData(moved.data[row], env.model, env.data)
    low, high = env.action_space.low, env.action_space.high
    for _ in range(_PLAYED):
        moved.ctrl[:] = rng.uniform(low, high, (n, len(low)))
        moved.step(env.frame_skip)
    return moved.qpos


def _shaken(model: mujoco.MjModel, path: Path, n: int) -> Float[np.ndarray, "n q"]:
    """The same of a file's model; controls without a range are from -1 to 1."""
    moved, rng = batch.Batch(model, n, ("qpos",)), seeds.generator(0, "benchmark")
    if model.nkey:
        for data in moved.data:
            mujoco.mj_resetDataKeyframe(model, data, 0)
    low, high = np.where(model.actuator_ctrllimited, model.actuator_ctrlrange.T, [[-1], [1]])
    for _ in range(_PLAYED):
        moved.ctrl[:] = rng.uniform(low, high, (n, model.nu))
        moved.step(_HELD)
    if not np.isfinite(moved.qpos).all():
        raise errors.CaveError(f"{path}: under random controls its state is soon not finite")
    return moved.qpos


def inner(ids: Int[np.ndarray, "b h w"]) -> Bool[np.ndarray, "b h w"]:
    """Pixels whose neighbours, if they have them, show the same solid."""
    padded = np.pad(ids, ((0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = ids.shape[1:]
    return np.all([padded[:, y : y + h, x : x + w] == ids for y in range(3) for x in range(3)], 0)


def agreement(ours: scenes.Frames, theirs: scenes.Frames) -> dict[str, float]:
    """How alike two renderers' pictures are: shares of the pixels further than one from an edge.

    Returns:
        `ids`: with the same solid; `depth`: of those on solids, with depths within 1 %; `colour`: mean difference, in bytes.
    """
    far = inner(ours.ids) & inner(theirs.ids)
    solid = far & (theirs.ids >= 0) & (ours.ids == theirs.ids)
    near = np.abs(ours.depth[solid] - theirs.depth[solid]) <= 0.01 * theirs.depth[solid]
    differ = np.abs(ours.rgb.astype(float) - theirs.rgb.astype(float))
    return {
        "ids": float((ours.ids == theirs.ids)[far].mean()),
        "depth": float(near.mean()),
        "colour": float(differ.mean()),
    }


def measure(subjects: list[Subject], options: Pictures) -> Iterator[speed.Row]:
    """Pictures of each model, ours and theirs; and of environments, steps."""
    for subject in subjects:
        yield from _pictures(subject, options)
        if isinstance(options, Options):
            yield from _steps(subject.name, options)


def _pictures(subject: Subject, options: Pictures) -> Iterator[speed.Row]:
    look = {"shadows": options.shadows, "supersample": options.supersample, "sensors": options.sensors}
    made = ours(subject, options.n_states, options.size, **look)
    qpos, some = subject.states(options.n_states), min(options.n_mujoco, options.n_states)
    calls, counts = {"ray caster": functools.partial(draw, made, qpos)}, {"ray caster": len(qpos), "MuJoCo": some}
    told, native = "", None
    if some:
        try:
            samples = options.supersample**2 if options.supersample > 1 else 0
            native = Native(made, options.sensors, options.shadows, samples)
            calls["MuJoCo"] = functools.partial(native.draw, qpos[:some])
        except errors.CaveError as error:
            yield speed.Row("ready", f"MuJoCo's renderer is left out: {error}", np.nan, "")
    seconds = speed.best(calls, options.rounds)
    rates = {name: counts[name] / seconds[name] for name in calls}
    of = f"{subject.name}, {len(made.stage.geoms)} solids"
    yield speed.Row("pictures", f"{of}: ray caster", rates["ray caster"], "frames")
    if native is None:
        return
    if set(options.sensors) == set(renderers.USUAL):
        mine = draw(ours(subject, some, options.size, **look), qpos[:some])
        alike = agreement(mine, native.frames(qpos[:some]))
        told = (
            f"; ids agree on {alike['ids']:.2%}, depth on {alike['depth']:.2%}, colours to {alike['colour']:.1f} of 255"
        )
    native.close()
    note = f"{rates['ray caster'] / rates['MuJoCo']:,.0f} times slower{told}"
    yield speed.Row("pictures", f"{of}: MuJoCo", rates["MuJoCo"], "frames", note)


def _steps(env_id: str, options: Options) -> Iterator[speed.Row]:
    world = envs.make("gymnasium", Config(id=env_id), options.n_worlds, sensors=("state",))
    world.reset()
    counts = {"together": options.n_worlds, "Gymnasium": min(options.n_mujoco, options.n_worlds)}
    calls = {"together": functools.partial(speed.play, world, world.observe(), options.n_steps)}
    if counts["Gymnasium"]:
        theirs = gymnasium.make_vec(env_id, counts["Gymnasium"], vectorization_mode="sync")
        theirs.reset(seed=0)
        calls["Gymnasium"] = functools.partial(_play_theirs, theirs, options.n_steps)
    seconds = speed.best(calls, options.rounds)
    rates = {name: counts[name] * options.n_steps / seconds[name] for name in calls}
    yield speed.Row("environment", f"{env_id}, {options.n_worlds} worlds", rates["together"], "steps")
    if "Gymnasium" in rates:
        note = f"{rates['together'] / rates['Gymnasium']:,.1f} times slower"
        yield speed.Row("environment", f"{env_id}, Gymnasium's SyncVectorEnv", rates["Gymnasium"], "steps", note)


def _play_theirs(env: gymnasium.vector.VectorEnv, n_steps: int) -> None:
    actions = env.action_space.sample()
    for i in range(n_steps):
        env.step(np.roll(actions, i, 0))


def sheet(subjects: list[Subject], options: Pictures) -> bytes:
    """Ours beside MuJoCo's, in pairs, with smooth edges on both sides: a PNG file with a row for each model."""
    rows = {}
    for subject in subjects:
        made = ours(subject, _PAIRS, _SHEET, shadows=options.shadows, supersample=2)
        qpos = subject.states(_PAIRS)
        native = Native(made, ("rgb",), options.shadows, 4)
        pairs = np.stack([draw(made, qpos).rgb, native.draw(qpos)[0][:, ::-1]], 1)
        native.close()
        rows[subject.name] = pairs.reshape(2 * _PAIRS, _SHEET, _SHEET, 3)
    return sheets.png(sheets.contact_sheet(rows))
