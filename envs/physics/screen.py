"""Pictures of many states of a MuJoCo model, from their joints' positions: kinematics, cameras and renderer in one piece.

As long as neither lights nor cameras turn, which is so for models that run about before a camera that follows, a renderer
is handed nothing but the poses of solids.
"""

import dataclasses
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

import scenes
from envs.physics import kinematics
from envs.physics import mujoco as models
from scenes import renderers

_SUN = int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)


class Screen:
    """Pictures of `n` states.

    Args:
        stage: Which geoms are shown.
        n: How many states there are.
        size: Height and width of pictures.
        camera: As `Stage.cameras` takes it.
        renderer: Which of `scenes.renderers` draws.
        sensors: What of frames is wanted; nothing is drawn if none are.
        look: Further options of the renderer.
    """

    def __init__(
        self,
        stage: models.Stage,
        n: int,
        size: tuple[int, int],
        camera: int | str | mujoco.MjvCamera,
        renderer: str = "raycast",
        sensors: tuple[str, ...] = renderers.USUAL,
        **look: Any,
    ):
        self.stage, self.n, self.size, self.camera = stage, n, size, camera
        self._poser, self._renderer = kinematics.Poser(stage, n), renderer
        self._sensors, self._look = sensors, look
        self._shadows = bool(look.get("shadows", False))
        self._handle: Any = None
        self._suns = stage.model.light_type == _SUN
        k = len(stage.geoms)
        self._poses = np.zeros((n, k, 3), np.float32), np.zeros((n, k, 4), np.float32)
        self._light = np.zeros((n, stage.model.nlight * 3 + 4))

    def draw(
        self, rows: Int[np.ndarray, " r"], qpos: Float[np.ndarray, "r q"], *mocap: np.ndarray | None
    ) -> tuple[scenes.Cameras, scenes.Frames | None]:
        """What the cameras of states `rows` see.

        Args:
            rows: Which of the `n`, rising.
            qpos: Positions of their joints.
            mocap: Positions and rotations of their mocap bodies, where they have moved.
        """
        states = self._poser.states(qpos, *mocap)
        cameras = self.stage.cameras(states, *self.size, self.camera)
        rows = rows.astype(np.int32)
        seen = dataclasses.replace(cameras, scene=rows)
        if not self._sensors:
            return seen, None
        places = np.where(self._suns[:, None], states.light_direction, states.light_position).reshape(len(rows), -1)
        light = np.concatenate([places, cameras.rotation], 1)
        for kept, new in zip(self._poses, (states.position, states.rotation), strict=True):
            kept[rows] = new
        if self._handle is None:
            # States that are not there yet look like one that is, until their turn comes.
            whose = np.zeros(self.n, np.int64)
            whose[rows] = np.arange(len(rows))
            self._light = light[whose]
            for kept in self._poses:
                kept[:] = kept[rows][whose]
            made = self.stage.to_scenes(states, cameras, self._shadows)[whose]
            self._handle = renderers.load(self._renderer, made, sensors=self._sensors, **self._look)
        elif not np.array_equal(light, self._light[rows]):
            self._light[rows] = light
            self._handle.update(self.stage.to_scenes(states, cameras, self._shadows), rows)
        position, rotation = self._poses
        return seen, self._handle.render(seen, (position.reshape(-1, 3), rotation.reshape(-1, 4)))
