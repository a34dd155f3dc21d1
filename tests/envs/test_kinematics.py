"""Batched MuJoCo: what a compiled loop over simulations gives is what MuJoCo gives from Python, to the bit."""

import pathlib

import gymnasium
import mujoco
import numpy as np
import pytest

import scenes
from envs.physics import batch, kinematics, screen
from envs.physics import mujoco as drawn
from scenes import renderers

ASSETS = pathlib.Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"

JOINTS = """
<mujoco>
  <worldbody>
    <light mode="trackcom" pos="0 0 3" dir="0 0 -1"/>
    <geom type="plane" size="9 9 1"/>
    <body mocap="true" pos="1 1 1"><geom size="0.1"/></body>
    <body name="flyer" pos="0 0 1"><freejoint/><geom type="box" size="0.1 0.2 0.3"/>
      <camera name="near" mode="trackcom" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
      <camera name="flat" mode="trackcom" pos="0 -2 0" xyaxes="1 0 0 0 0 1" projection="orthographic" fovy="3"/>
      <body pos="0.3 0 0" quat="0.8 0.6 0 0"><joint type="ball"/><geom type="capsule" size="0.05 0.2" pos="0 0 0.2"/>
        <body pos="0 0 0.4"><joint type="hinge" axis="1 2 3" pos="0.1 0 0"/><joint type="slide" axis="0 1 1"/>
          <geom type="ellipsoid" size="0.1 0.05 0.05" euler="10 20 30"/></body></body></body>
  </worldbody>
</mujoco>
"""


def random_positions(model, n, seed=0):
    """Positions within reach of each other, quaternions of any length among them: MuJoCo takes those, too."""
    return np.random.default_rng(seed).normal(size=(n, model.nq))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_kinematics_of_every_joint_are_mujoco_s(threads):
    model = mujoco.MjModel.from_xml_string(JOINTS)
    stage = drawn.Stage(model)
    rng = np.random.default_rng(1)
    qpos, place, turn = random_positions(model, 30), rng.normal(size=(30, 1, 3)), rng.normal(size=(30, 1, 4))
    turn /= np.linalg.norm(turn, axis=-1, keepdims=True)
    together = kinematics.Poser(stage, 40, threads).states(qpos, place, turn)
    datas = []
    for i in range(30):
        data = mujoco.MjData(model)
        data.qpos, data.mocap_pos[:], data.mocap_quat[:] = qpos[i], place[i], turn[i]
        mujoco.mj_forward(model, data)
        datas.append(data)
    alone = stage.states(datas)
    for name in alone.__dataclass_fields__.keys() - {"rotation"}:
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=1e-9, err_msg=name)
    # A quaternion and its negative are one rotation; single precision is all that pictures get.
    turned = [scenes.rotation_matrices(states.rotation.astype(np.float64)) for states in (together, alone)]
    np.testing.assert_allclose(*turned, atol=1e-6)
    assert len(together) == 30 and np.ptp(together.light_position) > 0.1


def test_fewer_states_and_none_at_all():
    model = mujoco.MjModel.from_xml_string(JOINTS)
    poser = kinematics.Poser(drawn.Stage(model), 20, 2)
    qpos = random_positions(model, 20)
    everything, some = poser.states(qpos), poser.states(qpos[:3])
    np.testing.assert_array_equal(some.position, everything.position[:3])
    assert len(poser.states(qpos[:0])) == 0


@pytest.mark.parametrize("light", ['mode="fixed"', 'mode="trackcom"', 'mode="targetbody" target="flyer"'])
@pytest.mark.parametrize("camera", ["near", "flat"])
def test_a_screen_shows_what_a_fresh_one_would(camera, light):
    """Moved bodies, a part of the rows, lights that move or turn: always as if everything had just been loaded."""
    stage = drawn.Stage(mujoco.MjModel.from_xml_string(JOINTS.replace('mode="trackcom"', light)))
    kept, qpos = screen.Screen(stage, 5, (20, 24), camera), random_positions(stage.model, 5)
    rng, drawings = np.random.default_rng(3), set()
    for rows in ([1, 3], [0, 1, 2, 3, 4], [2], [0, 4], [0, 1, 2, 3, 4]):
        rows = np.array(rows)
        qpos[rows] += rng.normal(size=(len(rows), stage.model.nq)) * 0.1
        cameras, frames = kept.draw(rows, qpos[rows])
        states = stage.states([_forward(stage.model, positions) for positions in qpos[rows]])
        fresh = stage.cameras(states, 20, 24, camera)
        expected = renderers.load("raycast", stage.to_scenes(states, fresh)).render(fresh)
        np.testing.assert_allclose(cameras.position, fresh.position, atol=1e-6)
        far = np.abs(frames.rgb.astype(int) - expected.rgb).max(-1) > 1
        assert far.mean() < 0.005 and (frames.ids == expected.ids).mean() > 0.995
        drawings.add(frames.rgb.tobytes())
    assert len(drawings) == 5


def _forward(model, qpos):
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    return data


@pytest.mark.parametrize("name", ["ant", "humanoid", "hopper", "pusher_v5"])
def test_steps_and_everything_after_them_are_mujoco_s(name):
    model = mujoco.MjModel.from_xml_path(str(ASSETS / f"{name}.xml"))
    fields = ("qpos", "qvel", "xpos", "cfrc_ext", "cinert", "qfrc_constraint")
    n, rng = 9, np.random.default_rng(0)
    ours, alone = batch.Batch(model, n, fields, threads=2), batch.Batch(model, 1, fields, threads=1)
    theirs = [mujoco.MjData(model) for _ in range(n)]
    low, high = model.actuator_ctrlrange.T
    forces = 0.0
    for t in range(40):
        ours.ctrl[:] = rng.uniform(low, high, (n, model.nu))
        alone.ctrl[:] = ours.ctrl[4]
        ours.step(5)
        alone.step(5)
        for i, data in enumerate(theirs):
            data.ctrl[:] = ours.ctrl[i]
            mujoco.mj_step(model, data, nstep=5)
            mujoco.mj_rnePostConstraint(model, data)
            for field in fields:
                np.testing.assert_array_equal(getattr(ours, field)[i], getattr(data, field))
        for field in fields:
            np.testing.assert_array_equal(getattr(ours, field)[4], getattr(alone, field)[0])
        forces = max(forces, np.abs(ours.cfrc_ext).max())
        if t == 20:
            ours.put_back(ours.rows())
    assert forces > (0 if name == "pusher_v5" else 1)
