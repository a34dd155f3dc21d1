"""Where everything of a MuJoCo model is, from its joints' positions: for many states at once.

    poser = Poser(stage, 256)
    scenes_ = stage.to_scenes(poser.states(qpos))

MuJoCo's own forward kinematics, by a compiled loop on all cores (`batch`): every kind of joint, mocap bodies, cameras and
lights that track. After a step MuJoCo's own positions are those of one substep before; these are not.
"""

import numpy as np
from jaxtyping import Float

from envs.physics import batch
from envs.physics import mujoco as drawn

_FIELDS = ("geom_xpos", "geom_xmat", "light_xpos", "light_xdir", "cam_xpos", "cam_xmat")
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
        axes = lambda matrices: matrices[:b].reshape(b, matrices.shape[1], 3, 3)
        turns = drawn.quaternions(axes(work.geom_xmat)[:, shown].reshape(-1, 3, 3)).reshape(b, len(shown), 4)
        return drawn.States(
            work.geom_xpos[:b, shown].astype(np.float32), turns, work.light_xpos[:b].copy(), work.light_xdir[:b].copy(),
            work.cam_xpos[:b].copy(), axes(work.cam_xmat).copy(),
        )  # fmt: skip
