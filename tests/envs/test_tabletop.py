"""The environment `tabletop`: what rests, what is pushed, what is paid, and what is refused."""

import dataclasses
import os
import pathlib

import mujoco
import numpy as np
import pytest

import envs
import scenes
from envs import pushing, tabletop
from envs.physics import tables
from envs.physics.tables import mujoco as ours
from envs.speed import simulators
from scenes import renderers
from scenes import tabletop as family
from scenes.kit import errors

PLACED = tabletop.Config(start="placed", image_size=16)
DROPPED = tabletop.Config(image_size=16)


def world(n=1, config=PLACED, split="train", sensors=("state",), seed=0, factors=None):
    made = envs.make("tabletop", config, n, split, seed, sensors)
    made.reset(factors=factors and {name: np.array([value] * n) for name, value in factors.items()})
    return made


def one_body(x=0.0, y=0.0, goal=(0.2, 0.0), shape="cylinder", **changes):
    """Factors of a table with one body on it."""
    k = 6
    column = lambda value, kind=float: np.array([value] + [0] * (k - 1), kind)
    factors = {"n_objects": 1, "shape": column(family.SHAPES.index(shape), int), "x": column(x), "y": column(y)}
    factors |= {"size": column(0.04), "yaw": column(0.0), "goal_x": goal[0], "goal_y": goal[1], "friction": 0.5}
    return factors | changes


def drive(made, rod, action, steps):
    """Put the rod somewhere, and let it go one way."""
    made.qpos[:, :2] = rod
    out = []
    for _ in range(steps):
        out.append(made.step(np.tile(np.array(action, np.float32), (made.n, 1))))
        if not made.live.all():
            break
    return out


def compiled(model, bodies, row):
    """The same table as MuJoCo compiles it, of the bodies that are there."""
    mass, inertia = bodies.inertia()
    spell = lambda values: " ".join(repr(float(value)) for value in np.atleast_1d(values))
    lines = []
    for j in np.flatnonzero(bodies.there[row]):
        kind = scenes.KINDS[bodies.kind[row, j]]
        inertial = f'<inertial pos="0 0 0" mass="{spell(mass[row, j])}" diaginertia="{spell(inertia[row, j])}"/>'
        geom = f'<geom type="{kind}" size="{spell(bodies.size[row, j])}" condim="{3 if kind == "box" else 6}" '
        lines.append(f'<body><freejoint/>{inertial}{geom} contype="1" conaffinity="3"/></body>')
    own = bodies.friction[row] * np.array([1, tables.SPINNING, tables.ROLLING])
    text = ours.xml(0, family.SIDE / 2, family.HIGH, family.THICK)
    text = text.replace("</worldbody>", "".join(lines) + "</worldbody>")
    return mujoco.MjModel.from_xml_string(text.replace("<default><geom", f'<default><geom friction="{spell(own)}"'))


def test_an_edited_model_moves_as_one_that_mujoco_compiles():
    made = world(6, split="more-objects")
    bodies = pushing.bodies(made.factors())
    for row in range(made.n):
        model = compiled(made.table.models[row], bodies, row)
        data = mujoco.MjData(model)
        begin, speed = made.qpos[row : row + 1].copy(), made.qvel[row : row + 1].copy()
        begin[:, :2] = begin[:, 2:4] - [0.09, 0.0]
        speed[:, 0] = 0.3
        data.qpos[:], data.qvel[0] = begin[0, : model.nq], 0.3
        qpos, qvel = made.table.run(np.array([row]), begin, speed, 60)
        for _ in range(60):
            mujoco.mj_step(model, data)
        assert np.abs(qpos - begin)[0, 2:].max() > 0.01
        # Rounding grows while things slide on each other.
        np.testing.assert_allclose(qpos[0, : model.nq], data.qpos, atol=1e-5)
        np.testing.assert_allclose(qvel[0, : model.nv], data.qvel, atol=1e-3)


@pytest.mark.parametrize("kind", ["box", "sphere", "capsule", "cylinder"])
def test_masses_and_moments_are_those_of_the_solids(kind):
    size = np.array([[[0.03, 0.05, 0.04]]])
    number = np.array([[scenes.KINDS.index(kind)]])
    bodies = tables.Bodies(np.array([[True]]), number, size, np.array([[700.0]]), np.ones(1))
    mass, inertia = bodies.inertia()
    text = f'<mujoco><worldbody><body><freejoint/><geom type="{kind}" size="0.03 0.05 0.04" density="700"/></body>'
    model = mujoco.MjModel.from_xml_string(text + "</worldbody></mujoco>")
    assert mass[0, 0] == pytest.approx(model.body_mass[1], rel=1e-9)
    # MuJoCo sorts the axes.
    np.testing.assert_allclose(np.sort(inertia[0, 0]), np.sort(model.body_inertia[1]), rtol=1e-9)


def rests(n, seed, split, config=DROPPED):
    made = world(n, config, split, seed=seed)
    real = pushing.there(made.factors())
    deep = made.table.depth(np.arange(n), made.qpos)
    assert deep.max() <= 1e-3
    place = tables.poses(made.qpos)
    assert (np.abs(place[real][:, :2]) <= pushing.REST).all() and (place[real][:, 2] > family.HIGH).all()
    goal = np.stack([made.factors()[name] for name in pushing.GOAL], 1)
    away = np.linalg.norm(place[..., :2] - goal[:, None], axis=-1)
    assert (away[np.arange(n), made.target] >= config.nearest).all()
    before = made.qpos.copy()
    qpos, _ = made.table.run(np.arange(n), made.qpos, made.qvel, 100)
    moved = np.linalg.norm(tables.poses(qpos)[..., :3] - tables.poses(before)[..., :3], axis=-1)[real]
    # One in hundreds leans so finely that it slips after all.
    assert np.quantile(moved, 0.995) < 1e-3 and moved.max() < 0.1
    return made, real


@pytest.mark.parametrize(("split", "n"), [("train", 160), ("more-objects", 40)])
def test_bodies_come_to_rest_and_stick_in_nothing(split, n):
    made, real = rests(n, 0, split)
    factors, pose = made.factors(), tables.poses(made.qpos)
    # They did fall: many lie elsewhere than they were let go, some on another side, and in a heap some on others.
    let_go = np.stack([factors["x"], factors["y"]], -1) * DROPPED.spread
    assert (np.linalg.norm(pose[..., :2] - let_go, axis=-1)[real] > 0.01).mean() > 0.2
    upright = (factors["shape"] == family.SHAPES.index("cylinder")) & real
    leans = np.abs(scenes.rotation_matrices(pose[upright][:, 3:])[:, 2, 2]) < 0.9
    assert 0.1 < leans.mean() < 0.9


def test_bodies_that_fall_in_one_place_make_a_heap():
    made, real = rests(12, 0, "more-objects", dataclasses.replace(DROPPED, spread=0.2))
    alone = family.ball(made.factors()["shape"], made.factors()["size"])
    height = tables.poses(made.qpos)[..., 2] - family.HIGH
    assert (height > alone + 1e-3)[real].any(), "nobody lies on anybody"


@pytest.mark.slow
def test_ten_thousand_tables_come_to_rest():
    for seed in range(20):
        rests(500, 10**6 + 500 * seed, ("train", "more-objects", "new-shapes", "dynamics")[seed % 4])


def test_narrow_limits_of_the_way_to_the_goal_find_their_scenes():
    config = dataclasses.replace(PLACED, nearest=0.1, farthest=0.13)
    made = world(1000, config)
    place = tables.poses(made.qpos)[np.arange(made.n), made.target, :2]
    away = np.linalg.norm(place - np.stack([made.factors()[name] for name in pushing.GOAL], 1), axis=1)
    assert ((away >= 0.1) & (away <= 0.13)).all() and len(np.unique(away)) == made.n


def test_placed_bodies_begin_as_the_family_has_them():
    made = world(8, sensors=("state", "image"))
    batch, told = family.build(PLACED.scenery, made.factors()), made.scenes()
    for i in range(made.n):
        n = batch.n_solids[i]
        assert told.n_solids[i] == n + 2
        for name in scenes.SOLID_FIELDS:
            one, other = (getattr(some[i], name)[:n] for some in (batch, told))
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_learners_see_the_tables_on_which_episodes_begin():
    for config in (PLACED, DROPPED):
        made = world(5, config)
        batch, poses = tabletop.views(config, "train", envs.ROOT, made.scene_index(), 3)
        assert batch.to_json() == made.scenes().to_json() and poses.shape == (5, 3, 5)


def test_pictures_show_where_bodies_are_now():
    made = world(3, DROPPED, sensors=("image", "ids"))
    for _ in range(12):
        made.step(made.scripted())
    seen = made.observe()
    cameras = scenes.cameras_from_poses(np.tile(tabletop._EYE, (3, 1)), tabletop.FOV, 16, 16)
    frames = renderers.load("raycast", made.scenes(), **DROPPED.look).render(cameras)
    assert np.array_equal(seen["image"], frames.rgb) and np.array_equal(seen["ids"], frames.ids)


def test_what_is_pushed_to_its_goal_pays_once_and_ends():
    made = world(factors=one_body())
    steps = drive(made, (-0.1, 0.0), (1, 0), 40)
    reward, terminated, truncated = steps[-1]
    assert reward[0] == 1 and terminated[0] and not truncated[0] and made.success[0]
    assert all(reward[0] == 0 for reward, *_ in steps[:-1])
    x, y = tables.poses(made.qpos)[0, 0, :2]
    assert abs(y) < 0.02 and 0.15 <= x <= 0.165


def test_what_falls_off_the_table_ends_without_reward():
    made = world(config=dataclasses.replace(PLACED, shaping=1.0, discount=1.0), factors=one_body(0.25, goal=(-0.2, 0)))
    made.qpos[:, :2] = 0.18, 0.0
    start = made._potential()[0]
    steps = drive(made, (0.18, 0.0), (1, 0), 60)
    end = made._potential()[0]
    assert made.fallen[0] and not made.success[0]
    assert np.abs(made.qpos[0, :2]).max() <= pushing.LIMIT + 1e-3
    # Nothing is paid for being rid of a potential.
    assert sum(float(reward[0]) for reward, *_ in steps) == pytest.approx(end - start, abs=1e-5) and steps[-1][1][0]
    assert end < start


def test_nearer_is_better_with_shaping():
    made = world(config=dataclasses.replace(PLACED, shaping=2.0, discount=1.0), factors=one_body(goal=(0.3, 0)))
    made.qpos[:, :2] = -0.1, 0
    before = made._potential()[0]
    steps = drive(made, (-0.1, 0), (1, 0), 12)
    gained = sum(float(reward[0]) for reward, *_ in steps)
    assert gained == pytest.approx(2 * (made._potential()[0] - before), abs=1e-5) and gained > 0


def test_the_goal_and_the_state_tell_the_truth():
    for goal in ("colour", "shape"):
        made = world(20, dataclasses.replace(DROPPED, goal=goal), sensors=("goal", "state"))
        for _ in range(10):
            made.step(made.scripted())
        seen, factors, k = made.observe(), made.factors(), made.qpos.shape[1] // 7
        every = np.arange(20)
        named = factors[pushing.NAMES[goal]][every, made.target]
        name = family.rgb(named) if goal == "colour" else np.eye(len(family.SHAPES))[named]
        place = np.stack([factors["goal_x"], factors["goal_y"]], 1)
        np.testing.assert_allclose(seen["goal"], np.concatenate([name, place], 1), atol=1e-6)
        state = seen["state"]
        np.testing.assert_allclose(state[:, :6], np.c_[made.qpos[:, :2], made.qvel[:, :2], place], atol=1e-6)
        bodies = state[:, 10:].reshape(20, k, -1)
        poses = tables.poses(made.qpos)[every, made.target]
        ways = np.c_[poses[:, :2] - made.qpos[:, :2], place - poses[:, :2]]
        np.testing.assert_allclose(state[:, 6:10] * made.config.within, ways, atol=1e-6)
        np.testing.assert_allclose(bodies[:, 0, 1:4], poses[:, :3] - [0, 0, family.HIGH], atol=1e-6)
        assert bodies[..., 0].sum(1).tolist() == factors["n_objects"].tolist()
        np.testing.assert_allclose(bodies[:, 0, 16], factors["size"][every, made.target], atol=1e-6)
        # No other body goes by the target's name.
        assert not pushing.twins(goal, factors)[every, made.target].any()


def test_numbers_that_are_not_finite_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = world(3, seed=40)
    made.step(made.random())
    for harm in (np.nan, np.inf, 1e9):
        made.qvel[1, 4] = harm
        before = made.state_dict()
        with pytest.raises(errors.CaveError, match=r"world 1 \(seed 41, episode 0, step 1\): mujoco has .* not finite"):
            made.step(made.random())
        assert all(np.array_equal(value, before[name], equal_nan=True) for name, value in made.state_dict().items())
    # MuJoCo would have begun anew, and left a file.
    assert not list(pathlib.Path(tmp_path).iterdir())
    made.reset(np.array([False, True, False]))
    made.step(made.random())


def test_factors_change_in_the_middle_of_an_episode():
    made = world(2, DROPPED, sensors=("image", "state"), seed=3)
    for _ in range(3):
        made.step(made.scripted())
    before, seen, factors = made.state_dict(), made.observe(), made.factors()
    made.intervene({"table_hue": (factors["table_hue"] + 0.5) % 1})
    assert np.array_equal(before["qpos"], made.state_dict()["qpos"])
    assert not np.array_equal(seen["image"], made.observe()["image"])
    # Ice: what moved goes on.
    made = world(1, factors=one_body(goal=(0.33, 0.33), friction=1.5))
    away = []
    for friction in (1.5, 0.05):
        made.reset(seeds=made.seeds, factors={name: np.array([v]) for name, v in one_body(goal=(0.33, 0.33)).items()})
        made.intervene({"friction": np.array([friction])})
        drive(made, (-0.1, 0), (1, 0), 8)
        drive(made, made.qpos[:, :2], (0, 0), 15)
        away.append(tables.poses(made.qpos)[0, 0, 0])
    assert away[1] > away[0] + 0.01


def test_bodies_come_and_go_and_what_cannot_be_is_refused():
    made = world(1, factors=one_body())
    made.qpos[:, :2] = -0.3
    made.step(made.random())
    two = {name: value.copy() for name, value in made.factors().items()}
    two["n_objects"][:] = 2
    for name, value in {"x": 0.0, "y": 0.15, "size": 0.04, "hue": (two["hue"][0, 0] + 0.5) % 1, "density": 500}.items():
        two[name][0, 1] = value
    made.intervene(two)
    assert tables.poses(made.qpos)[0, 1, :2].tolist() == [0.0, 0.15] and made.factors()["n_objects"][0] == 2
    for _ in range(5):
        made.step(np.zeros((1, 2), np.float32))
    np.testing.assert_allclose(tables.poses(made.qpos)[0, 1, :2], [0, 0.15], atol=1e-3)
    before = made.state_dict()
    column = lambda name, value, at=1: {name: np.where(np.arange(6) == at, value, made.factors()[name])}
    for slip, told in (
        (column("y", 0.02), "where another or the rod is"),
        (column("x", -0.3) | column("y", -0.3), "where another or the rod is"),
        (column("x", 0.37), "over the edge of the table"),
        (column("hue", made.factors()["hue"][0, 0]), "would not be told apart"),
        (column("size", 0.001), "smaller than 2 cm"),
        (column("density", 0.0), "no weight"),
        ({"goal_x": np.array([0.37])}, "goal would not be on the table"),
        ({"friction": np.array([9.0])}, "friction must be a number from 0.05 to 2"),
        ({"n_objects": np.array([0])}, "n_objects must be an integer from 1"),
    ):
        with pytest.raises(errors.CaveError, match=told) as caught:
            made.intervene(slip)
        assert "\n" not in str(caught.value)
    after = made.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    made.target[:] = 1
    with pytest.raises(errors.CaveError, match="the target would be gone"):
        made.intervene({"n_objects": np.array([1])})
    made.target[:] = 0
    made.intervene({"n_objects": np.array([1])})
    np.testing.assert_array_equal(tables.poses(made.qpos)[0, 1], tables.parked(6)[1])


def test_what_cannot_begin_is_refused():
    made = world()
    twins = one_body() | {"n_objects": 2, "hue": np.full(6, 0.3), "x": np.array([0, 0.2, 0, 0, 0, 0.0])}
    twins |= {"size": np.full(6, 0.04), "density": np.full(6, 500.0), "goal_x": -0.25}
    for slip, told in (
        (twins, "no body that its colour tells apart"),
        (twins | {"hue": np.arange(6) / 6, "x": np.zeros(6)}, "two bodies would overlap"),
        (one_body(goal=(0.05, 0.0)), "a target nearer to its goal than 0.15 m"),
        (one_body(0.36), "over the edge of the table"),
        (one_body(0.3), "a body that rests at the table's edge"),
    ):
        with pytest.raises(errors.CaveError, match=told) as caught:
            made.reset(factors={name: np.array([value]) for name, value in slip.items()})
        assert "\n" not in str(caught.value)


def test_an_intervened_state_is_put_back_though_no_episode_begins_so():
    made = world(2, DROPPED, seed=8)
    made.step(made.scripted())
    factors = made.factors()
    made.intervene({"friction": factors["friction"] * 2, "goal_x": np.zeros(2), "goal_y": np.zeros(2)})
    state = made.state_dict()
    other = world(2, DROPPED, seed=1)
    other.load_state_dict(state)
    for _ in range(20):
        action = made.scripted()
        made.step(action)
        other.step(action)
        assert np.array_equal(made.qpos, other.qpos) and np.array_equal(made.qvel, other.qvel)
        if not made.live.all():
            break


def test_the_scripted_player_does_the_whole_task():
    made = world(40, DROPPED)
    success, running = np.zeros(40, bool), np.ones(40, bool)
    while running.any():
        _, terminated, truncated = made.step(made.scripted())
        success |= running & made.success
        done = terminated | truncated
        running &= ~done
        # Those who are done wait; a new episode would only cost time.
        made.live[:], made.steps[done] = True, 0
    assert success.mean() > 0.85


pybullet = pytest.mark.skipif("other-simulator" not in tabletop.splits(PLACED), reason="PyBullet is not installed")
BULLET = dataclasses.replace(PLACED, simulator="pybullet")


@pybullet
def test_both_simulators_move_bodies_alike():
    apart, come = simulators.pushed((20, 40), 12, 3)
    assert np.median(apart[:, 1]) < 0.03 < np.median(come[:, 1])
    assert apart[:, 1].max() > 1e-4, "two simulators cannot agree so well"


@pybullet
def test_a_bullet_state_put_back_continues_exactly_and_a_dead_worker_ends_its_episodes(capfd):
    made = world(4, BULLET, seed=5)
    for _ in range(6):
        made.step(made.scripted())
    state, ways = made.state_dict(), []
    for _ in range(10):
        ways.append(made.scripted())
        made.step(ways[-1])
    other = world(4, BULLET, seed=77)
    other.load_state_dict(state)
    for way in ways:
        other.step(way)
    assert np.array_equal(made.qpos, other.qpos) and np.array_equal(made.qvel, other.qvel)
    lost = other.table._pool._workers[0]
    os.kill(lost.process.pid, 9)
    before = other.qpos.copy()
    _, terminated, truncated = other.step(other.scripted())
    assert "SIGKILL" in capfd.readouterr().err
    assert truncated[lost.rows].all() and not terminated[lost.rows].any()
    np.testing.assert_array_equal(other.qpos[lost.rows], before[lost.rows])
    other.reset(truncated)
    assert not other.step(other.scripted())[2][lost.rows].any()
    for table in (made.table, other.table):
        table.close()


@pybullet
def test_the_other_simulator_is_a_tier_of_its_own():
    known = tabletop.splits(PLACED)
    assert known["train"].simulator == "mujoco" and known["other-simulator"].simulator == "pybullet"
    turned = tabletop.splits(BULLET)
    assert turned["train"].simulator == "pybullet" and turned["other-simulator"].simulator == "mujoco"
