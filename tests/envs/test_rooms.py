"""The environment `rooms`: bodies that never pass through things, goals that are never in doubt, and what it pays."""

import math

import gymnasium
import numpy as np
import pytest

import envs
from envs import rooms
from envs.physics import discs
from scenes import rooms as family
from scenes.kit import errors

STATE = ("state", "goal", "pose")


def world_of(n=64, split="train", seed=0, sensors=STATE, **options):
    world = envs.make("rooms", rooms.Config(**options), n, split, seed, sensors, (32, 32))
    world.reset()
    return world


def obstacles(factors, i):
    """Centres and radii of the objects of world `i`, one by one."""
    objects = range(factors["n_objects"][i])
    radius = family.footprint(factors["shape"][i], factors["size"][i])[: len(objects)]
    return [(factors["x"][i, k], factors["y"][i, k]) for k in objects], radius.tolist()


def one_object(world, **factors):
    """The same room in every world: one box in the middle of the east, unless said otherwise."""
    k = world.factors()["shape"].shape[1]
    told = {"n_objects": 1, "shape": 1, "hue": 0.1, "size": 0.4, "x": 1.5, "y": 0.0, "yaw": 0.0} | factors
    told = {name: np.pad(np.atleast_1d(value), (0, k - np.size(value))) for name, value in told.items()}
    told["n_objects"] = told["n_objects"][0]
    world.reset(factors={name: np.broadcast_to(value, (world.n, *np.shape(value))) for name, value in told.items()})


@pytest.mark.parametrize("split", ["train", "more-objects"])
@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_bodies_are_never_inside_anything(split, actions):
    world = world_of(128, split, actions=actions, max_steps=10**6, stride=0.3)
    rng = np.random.default_rng(0)
    touched = 0
    for _ in range(150):
        # Mostly straight on, so that bodies press against walls and objects.
        action = rng.choice([0, 1, 2], 128, p=[0.1, 0.1, 0.8])
        if actions == "continuous":
            action = np.stack([rng.uniform(-1, 1, 128) * 0.5, rng.uniform(0, 1.5, 128)], 1)
        before = world.position.copy()
        _, terminated, _ = world.step(action)
        assert np.linalg.norm(world.position - before, axis=1).max() <= 0.3 * 1.1  # a slide follows an arc
        assert np.abs(world.position).max() <= 3.5 - rooms.RADIUS + 1e-9
        f = world.factors()
        real = np.arange(f["x"].shape[1]) < f["n_objects"][:, None]
        away = np.hypot(f["x"] - world.position[:, :1], f["y"] - world.position[:, 1:])
        gap = (away - family.footprint(f["shape"], f["size"]) - rooms.RADIUS)[real]
        assert gap.min() >= -1e-8
        touched += (gap < 1e-6).sum()
        if terminated.any():
            world.reset(terminated)
    assert touched > 20, "nobody ever pressed against an object: the test sees nothing"


def test_sliding_agrees_with_small_steps():
    """One long step along an obstacle ends near where a hundred short ones do."""
    rng = np.random.default_rng(1)
    centre, rim = rng.uniform(-2, 2, (200, 3, 2)), rng.uniform(0.4, 0.7, (200, 3))
    rim[:, 2] = -1
    position = rng.uniform(-3, 3, (200, 2))
    free = (discs.gaps(position, centre, rim) > 0).all(1)
    centre, rim, position = centre[free], rim[free], position[free]
    angle = rng.uniform(-math.pi, math.pi, len(position))
    move = 0.25 * np.stack([np.cos(angle), np.sin(angle)], 1)
    far = discs.slide(position, position + move, centre, rim, 3.0)
    near = position
    for _ in range(100):
        near = discs.slide(near, near + move / 100, centre, rim, 3.0)
    assert (discs.gaps(far, centre, rim) >= -1e-8).all() and (np.abs(far) <= 3.0).all()
    slid = np.linalg.norm(far - position - move, axis=1) > 1e-6
    assert slid.sum() > 5
    assert np.linalg.norm(far - near, axis=1)[~slid].max() < 1e-9
    # They differ only as a chord differs from its arc.
    assert np.linalg.norm(far - near, axis=1).max() < 0.12


def test_free_ways_agree_with_walking():
    rng = np.random.default_rng(2)
    centre, rim, position = rng.uniform(-2, 2, (30, 3, 2)), rng.uniform(0.3, 0.6, (30, 3)), rng.uniform(-3, 3, (30, 2))
    rim[:, 1] = -1
    free = (discs.gaps(position, centre, rim) > 0).all(1)
    centre, rim, position = centre[free], rim[free], position[free]
    angle = rng.uniform(-math.pi, math.pi, (len(position), 4))
    heading = np.stack([np.cos(angle), np.sin(angle)], -1)
    way = discs.free_way(position, heading, centre, rim, 3.0)
    walked = np.arange(0, 9, 1e-3)
    for i in range(len(position)):
        for h in range(4):
            at = position[i] + heading[i, h] * walked[:, None]
            inside = [np.hypot(*(at - c).T) < r for c, r in zip(centre[i], rim[i])]
            blocked = np.any([*inside, np.abs(at).max(1) > 3.0], axis=0)
            assert way[i, h] == pytest.approx(walked[blocked.argmax()], abs=2e-3)


@pytest.mark.parametrize(("goal", "split"), [("colour", "train"), ("shape", "new-shapes"), ("shape", "more-objects")])
def test_goals_are_never_in_doubt_and_always_within_reach(goal, split):
    world = world_of(150, split, goal=goal)
    factors, target, seen = world.factors(), world.facts()["target"], world.observe()
    for i in range(150):
        centres, radii = obstacles(factors, i)
        own = factors["hue" if goal == "colour" else "shape"][i, : len(centres)]
        others = np.delete(own, target[i])
        if goal == "colour":
            turn = np.abs(others - own[target[i]])
            assert np.minimum(turn, 1 - turn).min(initial=1) >= 0.08
            assert np.array_equal(seen["goal"][i], family.rgb(own[target[i]]))
        else:
            assert own[target[i]] not in others
            assert seen["goal"][i].argmax() == own[target[i]] and seen["goal"][i].sum() == 1
        for k, ((x, y), radius) in enumerate(zip(centres, radii)):
            gap = math.hypot(world.position[i, 0] - x, world.position[i, 1] - y) - radius - rooms.RADIUS
            assert gap >= (1.0 if k == target[i] else 0.3) - 1e-9
    for i in range(0, 150, 10):
        centres, radii = obstacles(factors, i)
        rim = np.array(radii) + rooms.RADIUS
        within, rim[target[i]] = rim[target[i]] + rooms.TOUCH, -1
        centres = np.array(centres)
        assert discs.reachable(world.position[i], centres[target[i]], within, centres, rim, 3.25)


def test_a_walled_off_target_is_found_out():
    angle = np.arange(8) * math.pi / 4
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    rim = np.full(8, 0.55)
    assert discs.ringed(ring[None], rim[None])[0]
    assert not discs.reachable(np.array([2.5, 2.5]), np.zeros(2), 0.3, ring, rim, 3.0)
    rim[3] = -1
    assert not discs.ringed(ring[None], rim[None])[0]
    assert discs.reachable(np.array([2.5, 2.5]), np.zeros(2), 0.3, ring, rim, 3.0)


def test_only_rings_close_anything_off():
    rng = np.random.default_rng(3)
    angle = np.arange(6) * math.pi / 3 + rng.uniform(-0.4, 0.4, (150, 6))
    centre = np.stack([np.cos(angle), np.sin(angle)], -1) * rng.uniform(1.1, 1.7, (150, 6, 1))
    rim, start = rng.uniform(0.6, 0.9, (150, 6)), np.array([2.9, 2.9])
    free = discs.gaps(np.zeros((150, 2)), centre, rim).min(1) > 0.1
    ways = [discs.reachable(start, np.zeros(2), 0.1, c, r, 3.0) for c, r in zip(centre[free], rim[free])]
    closed, ringed = ~np.array(ways), discs.ringed(centre[free], rim[free])
    assert closed.any() and not ringed.all()
    assert ringed[closed].all()


def test_every_object_is_a_target_sometimes():
    world = world_of(300)
    of_three = world.factors()["n_objects"] == 3
    counts = np.bincount(world.facts()["target"][of_three], minlength=3)
    assert len(counts) == 3 and counts.min() > 0.2 * of_three.sum()


def test_what_it_pays_agrees_with_a_slow_account():
    options = {"touch_cost": 0.3, "step_cost": 0.01, "shaping": 0.5, "discount": 0.9, "max_steps": 60}
    world = world_of(24, "more-objects", **options)
    paid = cost = 0
    distances, near = [None] * 24, [set() for _ in range(24)]
    for t in range(150):
        factors, target = world.factors(), world.facts()["target"]
        action = world.random() if t % 40 < 30 else world.scripted()
        before = world.position.copy()
        reward, terminated, truncated = world.step(action)
        for i in range(24):
            centres, radii = obstacles(factors, i)
            gap = lambda p, k: math.hypot(p[0] - centres[k][0], p[1] - centres[k][1]) - radii[k] - rooms.RADIUS  # noqa: B023
            now = {k for k in range(len(centres)) if gap(world.position[i], k) <= rooms.TOUCH}
            new = now - near[i] - {target[i]}
            near[i] = now
            reached = target[i] in now
            after = 0.0 if reached else gap(world.position[i], target[i])
            expected = reached - 0.3 * len(new) - 0.01 + 0.5 * (gap(before[i], target[i]) - 0.9 * after)
            assert reward[i] == pytest.approx(expected, abs=1e-5)
            assert terminated[i] == reached
            paid, cost = paid + reached, cost + len(new)
        done = terminated | truncated
        world.reset(done)
        for i in np.flatnonzero(done):
            near[i] = set()
    assert paid > 10 and cost > 5 and distances
    assert rooms.Config().shaping == 0 and rooms.Config().step_cost == 0


def test_shaping_sums_to_nothing_over_an_episode():
    """Discounted, the shaping terms of an episode that reaches its target add up to its start's potential alone."""
    plain, shaped = world_of(8), world_of(8, shaping=0.7)
    start = discs.gaps(shaped.position, shaped._centre, shaped._rim)[np.arange(8), shaped.target]
    extra, running, t = np.zeros(8), np.ones(8, bool), 0
    while running.any():
        action = plain.scripted()
        (a, ended, cut), (b, _, _) = plain.step(action), shaped.step(action)
        assert not cut[running].any()
        extra += running * 0.99**t * (b.astype(np.float64) - a)
        running &= ~ended
        t += 1
        for world in (plain, shaped):
            world.reset(ended)
    assert np.allclose(extra, 0.7 * start, atol=1e-5)


def test_the_state_sensor_agrees_with_a_slow_account():
    world = world_of(40, "more-objects")
    for _ in range(5):
        _, terminated, _ = world.step(world.random())
        world.reset(terminated)
    factors, target, state = world.factors(), world.facts()["target"], world.observe()["state"]
    for i in range(40):
        centres, radii = obstacles(factors, i)
        (x, y), yaw = world.position[i], world.yaw[i]
        entries = []
        for k, ((cx, cy), radius) in enumerate(zip(centres, radii)):
            bearing = math.atan2(cy - y, cx - x) - yaw
            gap = math.hypot(cx - x, cy - y) - radius - rooms.RADIUS
            entries.append((k != target[i], gap, math.sin(bearing), math.cos(bearing), radius))
        entries.sort()
        expected = [*entries[0][2:4], entries[0][1], entries[0][4]]
        for _, gap, sine, cosine, _ in entries[1:]:
            expected += [1, sine, cosine, gap]
        expected += [0] * (4 * world._centre.shape[1] - len(expected))
        for turn in range(4):
            c, s = math.cos(yaw + turn * math.pi / 2), math.sin(yaw + turn * math.pi / 2)
            ways = [(math.copysign(3.5, d) - p) / d for p, d in ((x, c), (y, s)) if abs(d) > 1e-9]
            expected.append(min(ways))
        assert np.allclose(state[i], expected, atol=1e-4)


def at(world, x, y, yaw):
    """Put every body of a world there."""
    world.position[:], world.yaw[:] = (x, y), yaw


def test_turning_left_moves_the_picture_right_and_walking_comes_nearer():
    world = envs.make("rooms", rooms.Config(turn=0.1), 1, sensors=("image", "depth", "ids"), size=(64, 64))
    world.reset()
    one_object(world, x=1.5, y=0.0)
    at(world, -1.0, 0.0, 0.0)
    columns = lambda seen: np.flatnonzero((seen["ids"][0] == family.FIRST_OBJECT).any(0))
    ahead = world.observe()
    assert columns(ahead).mean() == pytest.approx(31.5, abs=0.5)
    world.step(np.array([0]))
    left = world.observe()
    shift = 32 / math.tan(family.FOV / 2) * math.tan(0.1)
    assert columns(left).mean() - columns(ahead).mean() == pytest.approx(shift, abs=1.5)
    world.step(np.array([1]))
    assert np.array_equal(world.observe()["image"], ahead["image"])
    world.step(np.array([2]))
    near = world.observe()
    on_object = (ahead["ids"][0] == family.FIRST_OBJECT) & (near["ids"][0] == family.FIRST_OBJECT)
    closer = ahead["depth"][0][on_object] - near["depth"][0][on_object]
    assert closer.min() > 0.1 and len(columns(near)) > len(columns(ahead))


def test_nothing_is_a_mirror():
    """An object to the body's left is left in the picture, and its colour is the goal's."""
    world = envs.make("rooms", None, 1, sensors=("image", "ids", "goal", "state"), size=(64, 64))
    world.reset()
    one_object(world, x=1.5, y=0.8, hue=0.33)
    at(world, -1.0, 0.0, 0.0)
    seen = world.observe()
    there = seen["ids"][0] == family.FIRST_OBJECT
    assert there.any(0).nonzero()[0].mean() < 25
    assert seen["state"][0, 0] > 0
    lit = seen["image"][0][there].astype(float).mean(0)
    assert lit.argmax() == seen["goal"][0].argmax() == 1


def test_depth_ends_somewhere():
    world = envs.make("rooms", None, 2, sensors=("depth", "ids"), size=(32, 32))
    world.reset()
    seen = world.observe()
    sky = seen["ids"] == -1
    assert np.isfinite(seen["depth"]).all()
    assert (seen["depth"][sky] == 14.0).all() and seen["depth"][~sky].max() < 10


def test_staying_in_touch_costs_once():
    world = world_of(1, touch_cost=0.4, max_steps=100)
    one_object(world, n_objects=2, shape=[1, 1], hue=[0.1, 0.6], size=[0.4, 0.4], x=[1.0, -1.5], y=[0.0, 2.0])
    world.target[:] = 1
    at(world, 0.0, 0.0, 0.0)
    rewards = [float(world.step(np.array([2]))[0][0]) for _ in range(6)]
    assert rewards == [0, pytest.approx(-0.4), 0, 0, 0, 0] or rewards == [pytest.approx(-0.4), 0, 0, 0, 0, 0]
    at(world, 0.0, 0.0, 0.0)
    world.step(np.array([0]))
    at(world, 0.0, 0.0, 0.0)
    assert sum(float(world.step(np.array([2]))[0][0]) for _ in range(3)) == pytest.approx(-0.4)


def test_walking_is_between_standing_and_a_stride():
    world = world_of(3, actions="continuous")
    one_object(world)
    at(world, -2.0, 0.0, 0.0)
    world.step(np.array([[0, -1], [0, 0], [0, 5]]))
    assert np.allclose(world.position[:, 0] + 2, [0, 0.125, 0.25])


def test_impossible_interventions_are_answered():
    world = world_of(1)
    twins = {"n_objects": 2, "shape": [1, 1], "hue": [0.5, 0.5], "size": [0.3, 0.3], "x": [-1, 1], "y": [0, 0]}
    with pytest.raises(errors.CaveError, match="no target that its colour tells apart"):
        one_object(world, **twins)
    world.step(np.array([2]))  # the episode before goes on
    for bad in ({"shape": 7}, {"n_objects": 0}, {"n_objects": 99}, {"x": math.nan}):
        with pytest.raises(errors.CaveError, match="factor"):
            one_object(world, **bad)
    one_object(world)
    world.step(np.array([2]))


def rows_of(world, **factors):
    """Factors of all worlds, some of them changed: name -> a function of the array there is."""
    return {name: change(world.factors()[name].copy()) for name, change in factors.items()}


def put(*at):
    """The array with the last number in the place before it."""
    *place, value = at

    def change(array):
        array = array.astype(np.result_type(array, type(value)))
        array[(slice(None), *place)] = value
        return array

    return change


def two_objects(world):
    one_object(world, n_objects=2, shape=[1, 1], hue=[0.1, 0.6], size=[0.4, 0.4], x=[1.0, -1.5], y=[0.0, 2.0])
    world.target[:] = 0
    at(world, -0.5, 0.0, 0.0)


def test_another_hue_changes_only_pixels_of_that_object():
    config = rooms.Config(supersample=1)
    world = envs.make("rooms", config, 3, sensors=("image", "depth", "ids", "pose", "state", "goal"), size=(48, 48))
    world.reset()
    two_objects(world)
    at(world, -2.5, -0.5, 0.4)
    world.step(np.array([0, 1, 2]))
    before, steps = world.observe(), world.steps.copy()
    world.intervene(rows_of(world, hue=put(1, 0.35)), np.array([True, True, False]))
    after = world.observe()
    other = (before["image"] != after["image"]).any(-1)
    of_it = before["ids"] == family.FIRST_OBJECT + 1
    assert of_it.sum() > 30 and np.array_equal(other[:2], of_it[:2]) and not other[2].any()
    for sensor in ("depth", "ids", "pose", "state", "goal"):
        assert np.array_equal(before[sensor], after[sensor]), sensor
    assert np.array_equal(world.steps, steps) and world.live.all()
    # Of the target, the goal changes with it: what is asked for is still there.
    world.intervene(rows_of(world, hue=put(0, 0.85)))
    assert np.array_equal(world.observe()["goal"], np.tile(family.rgb(0.85), (3, 1)))


def test_walls_and_light_change_what_is_seen_and_nothing_else():
    world = envs.make("rooms", None, 2, sensors=("image", "depth", "state"), size=(24, 24))
    world.reset()
    seen = world.observe()
    for factor, other in (("wall_hue", 0.3), ("floor_texture", 1), ("light_azimuth", 2.0), ("wall_texture", 1)):
        there = world.factors()[factor]
        world.intervene({factor: (there + other) % {"wall_hue": 1, "floor_texture": 3}.get(factor, 5)})
        now = world.observe()
        assert (now["image"] != seen["image"]).any((1, 2, 3)).all(), factor
        assert np.array_equal(now["depth"], seen["depth"]) and np.array_equal(now["state"], seen["state"])
        seen = now


def test_a_moved_object_is_where_it_was_put():
    world = world_of(1, sensors=("state", "goal", "depth"))
    two_objects(world)
    near = world.observe()["state"][0, 2]
    world.intervene(rows_of(world, x=put(0, 2.0)))
    assert world.observe()["state"][0, 2] == pytest.approx(near + 1.0, abs=1e-6)
    # One that comes to the body by itself costs it nothing; the target that does so has been found.
    world.intervene(rows_of(world, x=put(1, -0.5), y=put(1, 0.7)))
    assert world.step(np.array([0]))[0][0] == 0
    world.intervene(rows_of(world, x=put(0, 0.2)))
    assert world.step(np.array([0]))[1].all()
    with pytest.raises(errors.CaveError, match="call reset first"):
        world.intervene(rows_of(world, x=put(0, 2.0)))
    state = world.state_dict()
    world.reset()
    assert not np.isin(0.2, world.factors()["x"])
    world.load_state_dict(state)
    assert world.factors()["x"][0, 0] == 0.2


IMPOSSIBLE = [
    ({"x": put(0, -0.6)}, "an object would stand where the body is"),
    ({"x": put(1, 1.3), "y": put(1, 0.4)}, "two objects would overlap"),
    ({"x": put(0, 3.4)}, "stick in a wall"),
    ({"x": put(0, 4.0)}, "factor x must be a number from -3.5 to 3.5, not 4"),
    ({"size": put(0, 0.0)}, "of no size"),
    ({"hue": put(0, 0.61)}, "would not be told apart"),
    ({"shape": put(0, 1.5)}, "factor shape must be an integer from 0 to 6, not 1.5"),
    ({"wall_texture": put(5)}, "factor wall_texture must be an integer from 0 to 4"),
    ({"n_objects": put(4)}, "of no size"),
]


@pytest.mark.parametrize(("factors", "why"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_and_changes_nothing(factors, why):
    world = envs.make("rooms", None, 2, sensors=envs.SENSORS, size=(16, 16))
    world.reset()
    two_objects(world)
    world.step(np.array([0, 1]))
    state, seen = world.state_dict(), world.observe()
    with pytest.raises(errors.CaveError, match=why) as caught:
        world.intervene(rows_of(world, **factors))
    assert "\n" not in str(caught.value)
    for name, value in world.state_dict().items():
        assert np.array_equal(value, state[name]), name
    for name, value in world.observe().items():
        assert np.array_equal(value, seen[name]), name


@pytest.mark.parametrize(("factors", "why"), [case for case in IMPOSSIBLE if "the body is" not in case[1]])
def test_a_start_that_cannot_be_is_refused_as_well(factors, why):
    world = world_of(2)
    two_objects(world)
    if "told apart" in why:
        why = "no target that its colour tells apart"
    with pytest.raises(errors.CaveError, match=why) as caught:
        world.reset(factors=world.factors() | rows_of(world, **factors))
    assert "\n" not in str(caught.value)


def test_a_target_that_is_gone_or_walled_off_is_refused():
    world = world_of(1)
    two_objects(world)
    world.target[:] = 1
    with pytest.raises(errors.CaveError, match="target would be gone"):
        world.intervene({"n_objects": np.array([1])})
    world = world_of(1, "more-objects")
    k = world.factors()["x"].shape[1]
    around = np.arange(k - 1) * 2 * math.pi / (k - 1)
    ring = {"x": [0.0, *np.cos(around)], "y": [0.0, *np.sin(around)], "hue": np.arange(k) / k}
    ring |= {"size": [0.2] + [0.5] * (k - 1), "shape": [1] * k, "n_objects": k, "yaw": [0] * k}
    wide = ring | {"x": np.multiply(ring["x"], 2.5), "y": np.multiply(ring["y"], 2.5)}
    one_object(world, **wide)
    world.target[:] = 0
    at(world, 3.1, 3.1, 0.0)
    with pytest.raises(errors.CaveError, match="way to the target would be closed"):
        world.intervene({name: np.asarray(ring[name])[None] for name in ("x", "y")})
    at(world, 0.6, 0.0, 0.0)
    with pytest.raises(errors.CaveError, match="where the body is"):
        world.intervene({name: np.asarray(ring[name])[None] for name in ("x", "y")})


def test_faces_intervene_and_return_what_is_seen():
    env = gymnasium.make("cave/Rooms-v0", config=rooms.Config(image_size=16), sensors=envs.SENSORS)
    env.reset(seed=3)
    before = env.step(0)[0]
    seen, info = env.unwrapped.intervene({"wall_hue": 0.5})
    assert info["factors"]["wall_hue"] == 0.5 and seen in env.observation_space
    assert (seen["image"] != before["image"]).any() and np.array_equal(seen["depth"], before["depth"])
    vector = gymnasium.make_vec("cave/Rooms-v0", num_envs=2, config=rooms.Config(image_size=16))
    before, info = vector.reset(seed=3)
    seen, told = vector.unwrapped.intervene({"wall_hue": np.array([0.5, 0.5])}, np.array([False, True]))
    assert told["_factors"].tolist() == [False, True] and told["factors"]["wall_hue"].tolist() == [0, 0.5]
    assert (seen["image"] != before["image"]).any((1, 2, 3)).tolist() == [False, True]


def test_options_out_of_range_are_answered():
    for bad in ({"max_steps": 0}, {"stride": 2.0}, {"turn": math.nan}, {"image_size": 0}):
        with pytest.raises(errors.CaveError, match=next(iter(bad))):
            rooms.Config(**bad)
    for name, slip, meant in (
        ("goal", "color", "colour"),
        ("actions", "discreet", "discrete"),
        ("cameras", "rin", "ring"),
    ):
        config = rooms.Config()
        object.__setattr__(config, name, slip)  # past the annotations, which the tests check as well
        with pytest.raises(errors.CaveError, match=f"did you mean '{meant}'"):
            config.__post_init__()
