"""Where everything of a MuJoCo model is, from its joints' positions: for many states at once.

    poser = Poser(stage, 256)
    scenes_ = stage.to_scenes(poser.states(qpos))

MuJoCo's own forward kinematics, by a compiled loop on all cores (`batch`): every kind of joint, mocap bodies, cameras and
lights that track. After a step MuJoCo's own positions are those of one substep before; these are not.
"""

import numpy as np
from jaxtyping import Float, Float32

from envs.physics import batch
from envs.physics import mujoco as drawn

_FIELDS = ("geom_xpos", "xquat", "light_xpos", "light_xdir", "cam_xpos", "cam_xmat")
_CALLS = ("mj_kinematics", "mj_comPos", "mj_camlight")


class Poser:
    """Forward kinematics of at most `n` states of a stage's model.

    Args:
        stage: Which geoms are shown.
        n: Most states of a call.
        threads: Cores to use; 0: all that this process may.
    """

    def __init__(self, stage: drawn.Stage, n: int, threads: int = 0):
        self.stage, self.n = stage, n
        self._bodies, self._turns = stage.model.geom_bodyid[stage.geoms], stage.model.geom_quat[stage.geoms]
        self._batch = batch.Batch(stage.model, n, _FIELDS, ("qpos", "mocap_pos", "mocap_quat"), threads, shared=True)

    def states(
        self,
        qpos: Float[np.ndarray, "b q"],
        mocap_pos: Float[np.ndarray, "b m 3"] | None = None,
        mocap_quat: Float[np.ndarray, "b m 4"] | None = None,
    ) -> drawn.States:
        """What pictures of `b` states depend on.

        Args:
            qpos: Positions of the joints.
            mocap_pos: Of mocap bodies; None: where the model has them.
            mocap_quat: Of mocap bodies; None: as the model has them.
        """
        b, work, shown = len(qpos), self._batch, self.stage.geoms
        work.qpos[:b] = qpos
        for name, given in (("mocap_pos", mocap_pos), ("mocap_quat", mocap_quat)):
            if given is not None:
                getattr(work, name)[:b] = given
        work.run(*_CALLS, first=b)
        turns = _product(work.xquat[:b, self._bodies], self._turns)
        return drawn.States(
            work.geom_xpos[:b, shown].astype(np.float32), turns, work.light_xpos[:b].copy(), work.light_xdir[:b].copy(),
            work.cam_xpos[:b].copy(), work.cam_xmat[:b].reshape(b, work.cam_xmat.shape[1], 3, 3).copy(),
        )  # fmt: skip


def _product(left: Float[np.ndarray, "b n 4"], right: Float[np.ndarray, "n 4"]) -> Float32[np.ndarray, "b n 4"]:
    """Quaternions of turning by `right` and then by `left`."""
    a, b, c, d = np.moveaxis(left, -1, 0)
    w, x, y, z = right.T
    parts = (a * w - b * x - c * y - d * z, a * x + b * w + c * z - d * y)
    parts += (a * y - b * z + c * w + d * x, a * z + b * y - c * x + d * w)
    return np.stack(parts, -1).astype(np.float32)
