"""Tables in MuJoCo: a model for each of them, all moved by one call of `mujoco.rollout`.

Why models are edited rather than compiled: an episode's bodies are others than those before, and to compile takes a
hundred times as long. `rollout` starts its solver cold, which is what makes a run a function of what it is given.
"""

import copy

import mujoco
import numpy as np
from jaxtyping import Bool, Float64, Int

import scenes
from envs.physics import rollouts, tables, workers

_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
}
_TYPE_OF = np.array([int(_TYPES.get(name, -1)) for name in scenes.KINDS])
_STATE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)
_FEW = 8
"""Tables that are not worth waking another core for."""


def xml(k: int, half: float, high: float, thick: float) -> str:
    """A table, a rod and `k` bodies, which get their shapes later."""
    r, h = tables.ROD_RADIUS, tables.ROD_HALF
    bodies = "".join(
        f'<body name="body{j}" gravcomp="1"><freejoint/><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'
        '<geom type="box" size="0.01 0.01 0.01" contype="1" conaffinity="3"/></body>'
        for j in range(k)
    )
    # A rod that met the table would only be stopped by it.
    return f"""
    <mujoco>
      <option timestep="{tables.TIMESTEP}" gravity="0 0 {-tables.GRAVITY}" integrator="implicitfast" cone="elliptic"
              impratio="5"><flag autoreset="disable"/></option>
      <size memory="4M"/>
      <default><geom solref="0.01 1"/></default>
      <worldbody>
        <geom name="table" type="box" size="{half} {half} {thick / 2}" pos="0 0 {high - thick / 2}"/>
        <body name="rod" pos="0 0 {high + tables.ROD_CLEAR + r + h}">
          <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
          <inertial pos="0 0 0" mass="{tables.ROD_MASS}" diaginertia="1 1 1"/>
          <geom name="rod" type="capsule" size="{r} {h}" contype="2" conaffinity="0"/>
        </body>
        {bodies}
      </worldbody>
    </mujoco>"""


class Table:
    """`n` tables of up to `k` bodies.

    Args:
        n: How many tables.
        k: Most bodies on one.
        half: Half the edge of a table's square top, metres.
        high: How high that lies.
        thick: How thick it is.
    """

    def __init__(self, n: int, k: int, half: float, high: float, thick: float):
        first = mujoco.MjModel.from_xml_string(xml(k, half, high, thick))
        self.models = [copy.copy(first) for _ in range(n)]
        self._k, self._first = k, first
        self._geoms = np.flatnonzero(first.geom_bodyid >= 2)
        self._bodies = first.geom_bodyid[self._geoms]
        self._boxes = first.body_bvhadr[self._bodies]
        threads = min(workers.cores(), -(-n // _FEW))
        self._rollout = rollouts.Rollout(threads)
        self._data = [mujoco.MjData(first) for _ in range(threads)]

    def furnish(self, rows: Int[np.ndarray, " b"], bodies: tables.Bodies) -> None:
        """Lay bodies on tables `rows`."""
        mass, inertia = bodies.inertia()
        a, b = bodies.size[..., 0], bodies.size[..., 1]
        names = [scenes.KINDS.index(name) for name in _TYPES]
        box, sphere, capsule, cylinder = (bodies.kind == index for index in names)
        flat = np.stack([a, a, b], -1)
        extent = np.select(
            [one[..., None] for one in (box, sphere, capsule, cylinder)],
            [bodies.size, a[..., None] * np.ones(3), flat + a[..., None] * [0, 0, 1], flat],
        )
        round_ = np.select(
            [box, sphere, capsule, cylinder], [np.linalg.norm(bodies.size, axis=-1), a, a + b, np.hypot(a, b)]
        )
        geoms, held = self._geoms, self._bodies
        for i, row in enumerate(rows.tolist()):
            model, there = self.models[row], bodies.there[i]
            which = np.flatnonzero(there)
            model.body_gravcomp[held] = ~there
            model.geom_type[geoms[which]] = _TYPE_OF[bodies.kind[i, which]]
            model.geom_size[geoms[which]] = bodies.size[i, which]
            model.geom_rbound[geoms[which]] = round_[i, which]
            model.geom_aabb[geoms[which], 3:] = model.bvh_aabb[self._boxes[which], 3:] = extent[i, which]
            # Faces that lie on something keep themselves from turning.
            model.geom_condim[geoms[which]] = np.where(box[i, which], 3, 6)
            model.body_mass[held[which]], model.body_inertia[held[which]] = mass[i, which], inertia[i, which]
            own = bodies.friction[i]
            model.geom_friction[:] = own, own * tables.SPINNING, own * tables.ROLLING
            mujoco.mj_setConst(model, self._data[0])

    def run(
        self,
        rows: Int[np.ndarray, " b"],
        qpos: Float64[np.ndarray, "b q"],
        qvel: Float64[np.ndarray, "b v"],
        times: int,
    ) -> tuple[Float64[np.ndarray, "b q"], Float64[np.ndarray, "b v"]]:
        """Where everything of tables `rows` is `times` timesteps later, and how fast it goes.

        What has no finite number is told as it is: nothing begins anew by itself.
        """
        b, nq, nv = len(rows), self._first.nq, self._first.nv
        begin = np.concatenate([np.zeros((b, 1)), qpos, qvel], 1)
        out = np.empty((b, times, begin.shape[1]))
        models = self.models if b == len(self.models) else [self.models[row] for row in rows]
        self._rollout.rollout(
            models, self._data, begin, None, control_spec=_CONTROL, skip_checks=True, nstep=times, state=out
        )
        return out[:, -1, 1 : 1 + nq].copy(), out[:, -1, 1 + nq : 1 + nq + nv].copy()

    def lost(self) -> Bool[np.ndarray, " n"]:
        """Which tables are lost: none, ever."""
        return np.zeros(len(self.models), bool)

    def close(self) -> None:
        """Nothing to end."""

    def depth(self, rows: Int[np.ndarray, " b"], qpos: Float64[np.ndarray, "b q"]) -> Float64[np.ndarray, " b"]:
        """How deep the deepest of all pairs of things stick in each other, in metres."""
        out, data = np.zeros(len(rows)), self._data[0]
        for i, row in enumerate(rows.tolist()):
            data.qpos[:] = qpos[i]
            mujoco.mj_fwdPosition(self.models[row], data)
            out[i] = -data.contact.dist.min(initial=0.0)
        return out
