"""Disturbances of what is seen in an episode, of the strengths that `scenes.factors.nuisance` names.

Each is a smooth function of the step, and a pure one of (index, step), where an index says which episode it is. Made
from a few sine waves instead of random walks, so that step 90 is known without steps 1 to 89 and a state that is put
back goes on exactly. With all strengths at 0 nothing is touched.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int

import scenes
from scenes.factors import nuisance
from scenes.kit import seeds

SLOW, FAST = (40.0, 120.0), (6.0, 16.0)
"""Shortest and longest period of a wave, in steps: of what drifts, and of what flickers."""
_N_WAVES = 3
_KEY = seeds.derive(0, "nuisance")
_WORDS = {word: i for i, word in enumerate(("yaw", "colour", "light", "flicker", "backdrop", "step"))}


def waves(
    word: str, index: Int[np.ndarray, " b"], step: Int[np.ndarray, " b"], n: int, periods: tuple[float, float] = SLOW
) -> Float64[np.ndarray, "b {n}"]:
    """`n` numbers in [-1, 1] for each row, which swing smoothly as its step goes on."""
    u = seeds.uniform(_KEY, index, 2 * _N_WAVES * n, _WORDS[word]).reshape(len(index), n, _N_WAVES, 2)
    period = periods[0] + u[..., 0] * (periods[1] - periods[0])
    return np.sin(2 * math.pi * (step[:, None, None] / period + u[..., 1])).mean(-1)


def disturbed(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which scenes are disturbed at all, bool (b,)."""
    return functools.reduce(np.logical_or, (factors[name] > 0 for name in nuisance.NAMES))


def sway(
    poses: Float32[np.ndarray, "b 5"], factors: Mapping[str, np.ndarray], index, step, reach: float
) -> tuple[Float32[np.ndarray, "b 5"], Float64[np.ndarray, " b"]]:
    """Poses of swaying cameras, and by how many radians each is rolled about its line of sight.

    At full strength a camera turns by up to 45 degrees, nods by half of that, rolls by up to 90 degrees and leaves its
    place by up to `reach` metres.
    """
    strength = factors["camera_sway"][:, None] / 100
    swing = waves("yaw", index, step, 6) * strength
    far = reach / math.sqrt(3)
    moved = poses + swing[:, :5] * [far, far, far, math.pi / 4, math.pi / 8]
    return moved.astype(np.float32), swing[:, 5] * math.pi / 2


def rolled(cameras: scenes.Cameras, angle: Float64[np.ndarray, " b"]) -> scenes.Cameras:
    """Cameras turned about their lines of sight, the picture's content clockwise for positive angles."""
    w, x, y, z = cameras.rotation.T.astype(np.float64)
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    turned = np.stack([w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s], 1)
    return dataclasses.replace(cameras, rotation=turned.astype(np.float32))


def watched(
    handle: Any,
    pose: Float32[np.ndarray, "r 5"],
    fov: float,
    size: tuple[int, int],
    rows: Int[np.ndarray, " r"],
    factors: Mapping[str, np.ndarray],
    index: Int[np.ndarray, " r"],
    steps: Int[np.ndarray, " r"],
    reach: float,
    build: Callable[[np.ndarray], scenes.Scenes],
) -> scenes.Cameras:
    """Cameras of worlds `rows`; those that are disturbed sway, and their scenes look as they do at this step.

    Args:
        handle: The renderer's, of all worlds.
        pose: Of the cameras, undisturbed.
        fov: Their field of view.
        size: Height and width of pictures.
        rows: Which worlds.
        factors: Their strengths of disturbance.
        index: Which episodes they are in.
        steps: Steps that those have taken.
        reach: How far a camera may leave its place, in metres.
        build: Makes the scenes of some worlds, undisturbed.
    """
    at = np.flatnonzero(disturbed(factors))
    if not len(at):
        return scenes.cameras_from_poses(pose, fov, *size, rows)
    poses, roll, batch = pose.copy(), np.zeros(len(rows)), build(rows[at])
    handle.update(dressed(batch, index[at], steps[at]), rows[at])
    poses[at], roll[at] = sway(pose[at], batch.factors, index[at], steps[at], reach)
    return rolled(scenes.cameras_from_poses(poses, fov, *size, rows), roll)


def dressed(batch: scenes.Scenes, index: Int[np.ndarray, " b"], step: Int[np.ndarray, " b"]) -> scenes.Scenes:
    """Scenes as they look at a step of their episodes, by the strengths among their factors.

    At full strength colours drift by up to 1 in every channel (those of objects by half of that, so that their hues still
    tell them apart), the light turns by up to 90 degrees about the vertical and its intensity vanishes or doubles, the
    sky's colour drifts by up to 2 and the periods of the scenery's patterns are up to four times as long or short.
    """
    drift, flicker, change = (batch.factors[name] / 100 for name in nuisance.NAMES[1:])
    counts = batch.n_solids
    of = np.repeat(np.arange(len(batch)), counts)
    number = np.arange(len(of)) - batch.offsets[of]
    scenery = (number < batch.first_object) | (number >= batch.first_object + batch.n_objects[of])

    own = waves("colour", index, step, int(counts.max()) * 3).reshape(len(batch), -1, 3)[of, number]
    own *= (drift[of] * np.where(scenery, 1.0, 0.5))[:, None]
    colour = np.clip(batch.colour + own[:, None], 0, 1)

    angle = waves("light", index, step, 1) * flicker[:, None] * math.pi / 2
    x, y, z = np.moveaxis(batch.light_position.astype(np.float64), -1, 0)
    turned = [x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), z]
    gain = 1 + waves("flicker", index, step, 2, FAST) * flicker[:, None]

    back = waves("backdrop", index, step, 4) * change[:, None]
    breath = np.where(scenery, 4.0 ** back[of, 3], 1.0)
    arrays = {
        "colour": colour,
        "texture_scale": batch.texture_scale * breath,
        "light_position": np.stack(turned, -1),
        "light_colour": batch.light_colour * gain[:, :1, None],
        "ambient": batch.ambient * gain[:, 1:],
        "sky": np.clip(batch.sky + 2 * back[:, :3], 0, 1),
    }
    return dataclasses.replace(batch, **{name: value.astype(np.float32) for name, value in arrays.items()})


def seen(
    batch: scenes.Scenes, poses: Float32[np.ndarray, "b v 5"], key: int, index: Int[np.ndarray, " b"], reach: float
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b v 5"]]:
    """What learners see of disturbed scenes: each as it looks at some step, from cameras that have swayed.

    One scene looks one way to all its cameras. Their poses are told as they are, and so are not rolled.
    """
    if not disturbed(batch.factors).any():
        return batch, poses
    b, v = poses.shape[:2]
    own = (seeds.uniform(key, index, v + 2, _WORDS["step"]) * [2.0**53, *[1000] * (v + 1)]).astype(np.int64)
    spread = {name: np.repeat(batch.factors[name], v) for name in nuisance.NAMES}
    moved, _ = sway(poses.reshape(-1, 5), spread, np.repeat(own[:, 0], v), own[:, 2:].ravel(), reach)
    return dressed(batch, own[:, 0], own[:, 1]), moved.reshape(b, v, 5)
