"""The environment `collect`: bodies that never pass through furniture, things that are gone once they are touched, and ways
to every good one."""

import collections
import math

import gymnasium
import numpy as np
import pytest

import envs
from envs import collect
from envs.physics import rounded
from scenes import collect as family
from scenes.kit import errors
from scenes.solids import things

STATE = ("state", "pose")
FORWARD, BACKWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT, FORWARD_LEFT, _ = range(8)


def world_of(n=64, split="train", seed=0, sensors=STATE, size=(32, 32), **options):
    world = envs.make("collect", collect.Config(**options), n, split, seed, sensors, size)
    world.reset()
    return world


def at(world, x, y, yaw):
    """Put every body of a world there."""
    world.position[:], world.yaw[:] = (x, y), yaw


def rows_of(world, **changes):
    """Factors of all worlds, some of them changed: name -> a function of the array there is."""
    return {name: change(world.factors()[name].copy()) for name, change in changes.items()}


def put(*at):
    """The array with the last number in the place before it."""
    *place, value = at

    def change(array):
        array = array.astype(np.result_type(array, type(value)))
        array[(slice(None), *place)] = value
        return array

    return change


def plain(world, **factors):
    """The same gallery in every world: a good thing (a can) in the north-west, a bad one (a hat) in the south-east."""
    k = world.factors()["x"].shape[1]
    told = {"good": [1, 0], "x": [-2.0, 2.0], "y": [2.0, -2.0], "size": [0.25, 0.25], "tint": [0, 0], "yaw": [0, 0]}
    told |= {name: value for name, value in factors.items() if name in told}
    n = len(told["good"])
    scene = {"style": 1, "things": 0, "swapped": 0, "shift_x": 0.0, "shift_y": 0.0, "tall_wall": 0, "tall_place": 0.0}
    scene |= {"low_turn": 2, "low_place": 0.0, "n_objects": n} | {f: v for f, v in factors.items() if f not in told}
    told = scene | {name: np.pad(np.asarray(value), (0, k - n)) for name, value in told.items()}
    world.reset(factors={name: np.broadcast_to(value, (world.n, *np.shape(value))) for name, value in told.items()})


def pieces(world, i):
    """Boxes and discs of a room's furniture, one by one: x, y, half extents, radius."""
    told = {name: value[i : i + 1] for name, value in world.factors().items()}
    middle, box, radius = family.outlines(world.config.scenery, told)
    return [(*m, *b, r) for m, b, r in zip(middle[0], box[0], radius[0])]


def distance(px, py, piece):
    x, y, a, b, r = piece
    return math.hypot(max(abs(px - x) - a, 0), max(abs(py - y) - b, 0)) - r


def test_bodies_are_never_inside_furniture_or_walls():
    world = world_of(96, "everything", max_steps=10**6)
    rng, pressed = np.random.default_rng(0), 0
    for _ in range(80):
        before = world.position.copy()
        # Mostly straight on, so that bodies press against what stands there.
        _, ended, _ = world.step(rng.choice(8, 96, p=[0.7, 0.02, 0.02, 0.02, 0.02, 0.02, 0.1, 0.1]))
        assert np.linalg.norm(world.position - before, axis=1).max() <= 0.25 * 1.42  # a slide follows an arc
        assert np.abs(world.position).max() <= 4.5 - collect.RADIUS + 1e-9
        gap = rounded.gaps(world.position, *family.outlines(world.config.scenery, world.factors())) - collect.RADIUS
        assert gap.min() >= -1e-8
        pressed += (gap < 1e-6).sum()
        if ended.any():
            world.reset(ended)
    assert pressed > 20, "nobody ever pressed against furniture: the test sees nothing"


def obstacles(seed, n=40):
    rng = np.random.default_rng(seed)
    middle, box = rng.uniform(-2, 2, (n, 3, 2)), rng.uniform(0, 0.6, (n, 3, 2))
    box[:, 0], rim = 0, rng.uniform(0.1, 0.4, (n, 3))
    rim[:, 2][::2] = -1
    position = rng.uniform(-3, 3, (n, 2))
    free = rounded.gaps(position, middle, box, rim).min(1) > 0
    return middle[free], box[free], rim[free], position[free]


def test_distances_free_ways_and_slides_agree_with_a_slow_account():
    middle, box, rim, position = obstacles(2)
    angle = np.random.default_rng(3).uniform(-math.pi, math.pi, (len(position), 3))
    heading = np.stack([np.cos(angle), np.sin(angle)], -1)
    way = rounded.free_way(position, heading, middle, box, rim, 3.0)
    walked, met = np.arange(0, 9, 2e-3), 0
    for i in range(len(position)):
        solid = [(*m, *b, 0.0) for m, b in zip(middle[i], box[i])]
        slow = [distance(*position[i], one) - r if r >= 0 else math.inf for one, r in zip(solid, rim[i])]
        assert np.allclose(rounded.gaps(position, middle, box, rim)[i], slow)
        for h in range(3):
            ahead = position[i] + heading[i, h] * walked[:, None]
            blocked = np.abs(ahead).max(1) > 3.0
            for (x, y, a, b, _), r in zip(solid, rim[i]):
                beyond = np.maximum(np.abs(ahead - (x, y)) - (a, b), 0)
                blocked |= (np.hypot(*beyond.T) < r) if r >= 0 else False
            first = walked[blocked.argmax()]
            assert way[i, h] == pytest.approx(first, abs=4e-3)
            met += first < 2
    assert met > 10
    # One long step along an obstacle ends near where many short ones do.
    move = 0.2 * heading[:, 0]
    far, near = rounded.slide(position, position + move, middle, box, rim, 3.0), position
    for _ in range(50):
        near = rounded.slide(near, near + move / 50, middle, box, rim, 3.0)
    assert rounded.gaps(far, middle, box, rim).min() >= -1e-8 and rounded.gaps(near, middle, box, rim).min() >= -1e-8
    slid = np.linalg.norm(far - position - move, axis=1) > 1e-6
    assert slid.any() and np.abs(far - near)[~slid].max() < 1e-9 and np.linalg.norm(far - near, axis=1).max() < 0.12


def test_whoever_comes_to_be_within_a_box_leaves_on_the_shortest_way():
    middle, box, rim = np.zeros((1, 1, 2)), np.array([[[1.0, 0.1]]]), np.array([[0.25]])
    out = rounded.slide(np.array([[0.3, -0.4]]), np.array([[0.3, -0.05]]), middle, box, rim, 3.0)
    assert np.allclose(out, [[0.3, -0.35]])


def test_water_spreads_as_a_search_says():
    rng = np.random.default_rng(5)
    free = rng.random((6, 15, 17)) < 0.62
    flood = np.zeros_like(free)
    flood[:, 7, 8] = True
    wet = rounded.spread(flood, free)
    for i in range(6):
        seen, queue = {(7, 8)}, collections.deque([(7, 8)])
        while queue:
            x, y = queue.popleft()
            for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                inside = 0 <= cell[0] < 15 and 0 <= cell[1] < 17
                if inside and free[(i, *cell)] and cell not in seen:
                    seen.add(cell)
                    queue.append(cell)
        assert seen == set(map(tuple, np.argwhere(wet[i]).tolist()))


def every_good_one_is_reached(split, n, seed=0):
    """From where a body starts it walks to each good thing, past furniture, and touches no bad one."""
    world = world_of(n, split, seed)
    f = world.factors()
    middle, box, radius = family.outlines(world.config.scenery, f)
    lying = np.stack([f["x"], f["y"]], -1)
    rim = things.footprint(family.kinds(f), f["size"]) + collect.RADIUS
    real = np.arange(lying.shape[1]) < f["n_objects"][:, None]
    good = real & (f["good"] == 1)
    middle, box = np.concatenate([middle, lying], 1), np.concatenate([box, np.zeros_like(lying)], 1)
    avoided = np.where(real & ~good, rim + collect.TOUCH, -1.0)
    blocked = np.concatenate([radius + collect.RADIUS, avoided], 1)
    half = world.config.side / 2 - collect.RADIUS
    there = rounded.reachable(world.position, lying, rim + collect.TOUCH, middle, box, blocked, half, 0.06)
    return good.any(1).all() and there[good].all()


@pytest.mark.parametrize("split", ["train", "more-things"])
def test_every_good_thing_can_be_reached_without_touching_a_bad_one(split):
    assert every_good_one_is_reached(split, 100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("split", ["everything", "more-things", "new-room"])
def test_every_good_thing_can_be_reached_in_ten_thousand_rooms(split):
    for seed in range(0, 10_000, 100):
        assert every_good_one_is_reached(split, 100, seed), seed


def test_a_walled_off_thing_is_found_out():
    """So that the tests above can fail."""
    lying, start = np.array([[[0.0, 0.0]]]), np.array([[2.5, 2.5]])
    angle = np.arange(8) * math.pi / 4
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)[None] * 1.2
    box, rim = np.zeros((1, 8, 2)), np.full((1, 8), 0.55)
    assert not rounded.reachable(start, lying, np.array([[0.3]]), ring, box, rim, 3.0).any()
    rim[:, 3] = -1
    assert rounded.reachable(start, lying, np.array([[0.3]]), ring, box, rim, 3.0).all()


def test_what_it_pays_agrees_with_a_slow_account():
    world = world_of(24, "more-things", max_steps=40)
    paid = collections.Counter()
    for t in range(90):
        f, left = world.factors(), ~world.taken
        reward, terminated, truncated = world.step(world.scripted() if t % 3 else world.random())
        for i in range(24):
            expected = 0
            for k in range(f["n_objects"][i]):
                reach = things.footprint(2 * f["things"][i] + f["good"][i, k], f["size"][i, k])
                away = math.hypot(world.position[i, 0] - f["x"][i, k], world.position[i, 1] - f["y"][i, k])
                if left[i, k] and away - reach - collect.RADIUS <= collect.TOUCH:
                    left[i, k] = False
                    expected += 1 if f["good"][i, k] else -1
                    paid[int(f["good"][i, k])] += 1
            assert reward[i] == expected and np.array_equal(world.taken[i], ~left[i])
            own = np.arange(f["n_objects"][i])
            assert terminated[i] == (f["good"][i, own] & left[i, own] == 0).all()
        world.reset(terminated | truncated)
    assert paid[1] > 20


def test_a_bad_one_costs_and_spoils_the_success():
    world = world_of(1)
    plain(world, good=[0, 1], x=[-2.0, -2.0], y=[-0.5, 1.5])
    at(world, -2.0, -2.0, math.pi / 2)
    rewards = []
    while world.live[0]:
        rewards.append(float(world.step(np.array([FORWARD]))[0][0]))
    assert [r for r in rewards if r] == [-1.0, 1.0] and world.taken[0, :2].all()
    assert not world.facts()["success"][0] and world.steps[0] < world.max_steps


def test_what_was_collected_is_seen_no_more():
    world = envs.make("collect", collect.Config(), 2, sensors=("image", "ids", "depth", "state"), size=(48, 48))
    world.reset()
    plain(world, good=[1, 1], x=[-2.0, -2.5], y=[0.0, 2.5])
    at(world, -2.0, -1.5, math.pi / 2)
    world.position[1] = 2.0, -2.5
    world.step(np.array([FORWARD, TURN_LEFT]))
    before = world.observe()
    assert (before["ids"][0] == family.FIRST_OBJECT).sum() > 20
    for _ in range(5):
        world.step(np.array([FORWARD, TURN_LEFT]))
    assert world.taken[:, 0].tolist() == [True, False]
    after = world.observe()
    assert not (after["ids"][0] == family.FIRST_OBJECT).any() and (after["ids"][0] == family.FIRST_OBJECT + 1).any()
    assert before["state"][:, [0, 5]].tolist() == [[1, 1]] * 2 and after["state"][0, [0, 5]].tolist() == [1, 0]
    state = world.state_dict()
    world.reset()
    world.load_state_dict(state)
    again = world.observe()
    for sensor, value in after.items():
        assert np.array_equal(again[sensor], value), sensor
    world.reset()
    assert not world.taken.any() and (world.observe()["state"][:, 5] == 1).all()


def test_the_state_sensor_agrees_with_a_slow_account():
    world = world_of(30, "more-things")
    world.taken[::2, 1] = True
    f, state = world.factors(), world.observe()["state"]
    for i in range(30):
        (x, y), yaw, entries = world.position[i], world.yaw[i], []
        for k in range(f["n_objects"][i]):
            if not world.taken[i, k]:
                dx, dy = f["x"][i, k] - x, f["y"][i, k] - y
                reach = things.footprint(2 * f["things"][i] + f["good"][i, k], f["size"][i, k])
                bearing = math.atan2(dy, dx) - yaw
                sign = 1 if f["good"][i, k] else -1
                gap = math.hypot(dx, dy) - reach - collect.RADIUS
                entries.append((gap, 1, sign, math.sin(bearing), math.cos(bearing), gap))
        expected = [number for entry in sorted(entries) for number in entry[1:]]
        expected += [0] * (5 * f["x"].shape[1] - len(expected))
        assert np.allclose(state[i, :-8], expected, atol=1e-5)
        for ray, way in enumerate(state[i, -8:]):
            dx, dy = math.cos(yaw + ray * math.pi / 4), math.sin(yaw + ray * math.pi / 4)
            end = (x + way * dx, y + way * dy)
            nearest = min(min(distance(*end, one) for one in pieces(world, i)), 4.5 - max(map(abs, end)))
            assert abs(nearest) < 1e-3
            middle = (x + way / 2 * dx, y + way / 2 * dy)
            assert min(distance(*middle, one) for one in pieces(world, i)) > -1e-6


def test_moves_are_what_they_are_called():
    world = envs.make("collect", collect.Config(turn=0.1), 8, sensors=("ids", "action"), size=(64, 64))
    world.reset()
    plain(world, x=[-1.0, 2.0], y=[2.5, -3.0])
    at(world, -1.0, -0.5, math.pi / 2)
    columns = lambda seen: [np.flatnonzero((ids == family.FIRST_OBJECT).any(0)).mean() for ids in seen["ids"]]
    assert np.allclose(columns(world.observe()), 31.5, atol=0.5)
    world.step(np.arange(8))
    seen = world.observe()
    moved = (world.position - (-1.0, -0.5)) / world.config.stride
    s, c = math.sin(0.1), math.cos(0.1)
    expected = [(0, 1), (0, -1), (-1, 0), (1, 0), (0, 0), (0, 0), (-s, c), (s, c)]
    assert np.allclose(moved, expected, atol=1e-6)
    assert np.array_equal(seen["action"], np.eye(8))
    shift = np.sign(np.round(np.array(columns(seen)) - 31.5, 0))
    # What was ahead is to the right of whoever went or turned to the left.
    assert shift.tolist() == [0, 0, 1, -1, 1, -1, 1, -1]


def test_the_scripted_player_lets_go_of_furniture_that_it_touches():
    """In this room it came to rest against some, from where every way seemed to be barred."""
    world = envs.make("collect", collect.Config.tiny(), 1, seed=9465, sensors=("state",))
    world.reset()
    for _ in range(60):
        world.step(world.scripted())
        if world.success[0]:
            break
    assert world.success[0]


@pytest.mark.parametrize("split", list(collect.splits(collect.Config())))
def test_the_scripted_player_collects_everything_good_in_every_split(split):
    world, done = world_of(8, split, seed=5), np.zeros(8, bool)
    for _ in range(world.max_steps):
        _, terminated, truncated = world.step(world.scripted())
        done |= world.success
        assert not (terminated & ~world.success & ~done).any(), "a bad one was touched"
        if done.all():
            break
        world.reset(terminated | truncated)
    assert done.all()


IMPOSSIBLE = [
    ({"style": put(5)}, "factor style must be an integer from 0 to 4, not 5"),
    ({"n_objects": put(9)}, "of no size"),
    ({"size": put(0, 0.0)}, "a thing would be of no size"),
    ({"x": put(0, -4.4)}, "a thing would stick in a wall"),
    ({"x": put(0, 1.35), "y": put(0, 1.0)}, "a thing would stick in furniture"),
    ({"x": put(1, -2.0), "y": put(1, 2.2)}, "two things would overlap"),
    ({"good": put(0, 0)}, "there would be no good thing"),
    ({"x": put(1, -0.1), "y": put(1, -0.4)}, "a thing would lie where the body is"),
    ({"shift_x": put(-1.0), "shift_y": put(0.9), "style": put(0)}, "furniture would stand where the body is"),
    ({"tall_place": put(1.5)}, "factor tall_place must be a number from -1 to 1"),
]


@pytest.mark.parametrize(("factors", "why"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_and_changes_nothing(factors, why):
    world = envs.make("collect", None, 2, sensors=envs.SENSORS, size=(16, 16))
    world.reset()
    plain(world)
    at(world, -0.4, -0.6, 0.0)
    if "furniture would stand" in why:
        at(world, -1.35, -0.5, 0.0)
    state, seen = world.state_dict(), world.observe()
    with pytest.raises(errors.CaveError, match=why) as caught:
        world.intervene(rows_of(world, **factors))
    assert "\n" not in str(caught.value)
    for name, value in world.state_dict().items():
        assert np.array_equal(value, state[name]), name
    for name, value in world.observe().items():
        assert np.array_equal(value, seen[name]), name
    if "no good thing" in why:
        with pytest.raises(errors.CaveError, match=why):
            world.reset(factors=world.factors() | rows_of(world, **factors))


def test_a_good_thing_out_of_reach_is_refused():
    world = world_of(1)
    plain(world, style=0, low_turn=1, low_place=-1.0, tall_place=1.0)
    at(world, 0.0, 0.0, 0.0)
    # A shelf and a sideboard close the corner between them to a body of this width.
    with pytest.raises(errors.CaveError, match="a good thing could not be reached"):
        world.intervene(rows_of(world, x=put(0, 4.3), y=put(0, 4.3), size=put(0, 0.1)))
    world.intervene(rows_of(world, x=put(1, 4.3), y=put(1, 4.3), size=put(1, 0.1)))


def test_another_style_changes_what_is_seen_and_what_blocks():
    world = envs.make(
        "collect", collect.Config(supersample=1), 2, sensors=("image", "ids", "pose", "state"), size=(24, 24)
    )
    world.reset()
    plain(world)
    at(world, -0.5, 0.5, 0.6)
    seen = world.observe()
    for factor, other in (("wall_tint", 0.3), ("floor_tint", 0.3), ("furniture_tint", 0.3), ("light_azimuth", 2.0)):
        world.intervene({factor: world.factors()[factor] + other}, np.array([True, False]))
        now = world.observe()
        changed = (now["image"] != seen["image"]).any((1, 2, 3))
        # White walls and grey floors have little hue to turn.
        assert not changed[1] and (changed[0] or factor.endswith("tint")), factor
        assert np.array_equal(now["state"], seen["state"]) and np.array_equal(now["ids"], seen["ids"])
        seen = now
    world.intervene({"style": np.array([2, 1])}, np.array([True, False]))
    now = world.observe()
    assert (now["image"] != seen["image"]).mean((1, 2, 3))[0] > 0.9 and np.array_equal(
        now["image"][1], seen["image"][1]
    )
    assert np.array_equal(now["state"][:, :-8], seen["state"][:, :-8])
    # What is good goes with the set, whatever the room.
    world.intervene(rows_of(world, things=put(2)))
    assert world.observe()["state"][:, 1].tolist() == seen["state"][:, 1].tolist()


def test_a_thing_that_comes_to_the_body_is_collected_at_its_next_step():
    world = world_of(1)
    plain(world)
    at(world, 0.0, -0.3, 0.0)
    world.intervene(rows_of(world, x=put(0, -0.4), y=put(0, 0.2), size=put(0, 0.5)))
    assert world.observe()["state"][0, 4] < 0.3
    assert world.step(np.array([TURN_LEFT]))[0][0] in (0, 1)


def test_faces_intervene_and_return_what_is_seen():
    env = gymnasium.make("cave/Collect-v0", config=collect.Config(image_size=16), sensors=envs.SENSORS)
    env.reset(seed=3)
    before = env.step(TURN_LEFT)[0]
    seen, info = env.unwrapped.intervene({"light_azimuth": 0.5})
    assert info["factors"]["light_azimuth"] == 0.5 and seen in env.observation_space
    assert (seen["image"] != before["image"]).any() and np.array_equal(seen["depth"], before["depth"])


def test_options_out_of_range_are_answered():
    for bad in ({"max_steps": 0}, {"stride": 2.0}, {"turn": math.nan}, {"image_size": 0}):
        with pytest.raises(errors.CaveError, match=next(iter(bad))):
            collect.Config(**bad)
    config = collect.Config()
    object.__setattr__(config, "cameras", "rin")  # past the annotations, which the tests check as well
    with pytest.raises(errors.CaveError, match="did you mean 'ring'"):
        config.__post_init__()
    with pytest.raises(errors.CaveError, match="n_good is 9, wanted 1 to 8"):
        envs.make("collect", collect.Config(n_good=9))
