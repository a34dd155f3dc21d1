"""The environment `mazes`: bodies that never pass through walls, goals within reach and never in doubt, what it pays."""

import math

import numpy as np
import pytest

import envs
import scenes
from envs import mazes
from envs.physics import corridors, discs
from scenes import mazes as family
from scenes.kit import errors

STATE = ("state", "goal", "pose")


def world_of(n=64, split="train", seed=0, sensors=STATE, **options):
    world = envs.make("mazes", mazes.Config(**options), n, split, seed, sensors, (32, 32))
    world.reset()
    return world


def solids(world):
    """Of every world: middles and half extents of its walls, and how far out its floor goes, from what is drawn."""
    batch = family.build(world.config.scenery, world.factors())
    for i in range(world.n):
        inner = slice(batch.offsets[i] + batch.first_object + batch.n_objects[i], batch.offsets[i + 1])
        turned = np.abs(scenes.rotation_matrices(batch.rotation[inner])[:, :2, :2])
        face = batch.position[batch.offsets[i] + 1, 0]
        yield batch.position[inner, :2].astype(float), (turned @ batch.size[inner, :2, None])[..., 0], face


def one_maze(world, **factors):
    """The same maze in every world: perfect, one landmark in the south-west and one in the north-east, unless told."""
    k = world.factors()["shape"].shape[1]
    told = {"cells": 5, "openness": 0.0, "layout": 0.3, "n_objects": 2, "shape": [1, 1], "hue": [0.1, 0.6]}
    told |= {"size": [0.3, 0.3], "east": [0.1, 0.9], "north": [0.1, 0.9], "yaw": [0.0, 0.0], "corner": [0, 3]}
    told = {name: np.asarray(value) for name, value in (told | factors).items()}
    told = {name: np.pad(value, (0, k - len(value))) if value.ndim else value for name, value in told.items()}
    world.reset(factors={name: np.broadcast_to(value, (world.n, *value.shape)) for name, value in told.items()})


def at(world, x, y, yaw=0.0):
    """Put every body of a world there."""
    world.position[:], world.yaw[:] = (x, y), yaw


def ways(occupied, start):
    """Squares of a map that can be reached, by a search that knows nothing of how it was made."""
    reached, front = {start}, [start]
    while front:
        x, y = front.pop()
        for square in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if not occupied[square] and square not in reached:
                reached.add(square)
                front.append(square)
    return reached


def squares(world, i):
    """Where a body and its target are in the map that `info` tells of."""
    facts, cells = world.facts(), world.factors()["cells"][i]
    place = family.landmarks({name: value[i : i + 1] for name, value in world.factors().items()})[1]
    for at in (facts["position"][i], place[0, facts["target"][i]]):
        yield tuple((2 * np.floor(at / family.CELL + cells / 2) + 1).astype(int).tolist())


def solved(n, split, **options):
    """How many of `n` worlds a search finds a way to the target in, and how many the scripted player reaches it in."""
    world = world_of(n, split, **options)
    maps = world.facts()["map"]
    found = 0
    for i in range(n):
        body, goal = squares(world, i)
        found += body != goal and goal in ways(maps[i], body)
    done, success = np.zeros(n, bool), np.zeros(n, bool)
    while not done.all():
        _, terminated, truncated = world.step(world.scripted())
        success |= terminated & ~done
        done |= terminated | truncated
        if (terminated | truncated).any():
            world.reset(terminated | truncated)
    return found, success.sum()


def test_every_goal_can_be_reached():
    assert solved(200, "train") == (200, 200)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize("split", list(mazes.splits(mazes.Config())))
def test_every_goal_of_every_split_can_be_reached(split, actions):
    n = 10_000 if split in ("train", "larger") else 1_000
    found, reached = solved(n, split, actions=actions)
    assert found == n and reached >= 0.999 * n


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize(("split", "stride"), [("more-objects", 0.45), ("open", 1.0)])
def test_bodies_are_never_inside_anything(split, stride, actions):
    world = world_of(64, split, actions=actions, max_steps=10**6, stride=stride)
    rng = np.random.default_rng(0)
    walls, touched = list(solids(world)), {"wall": 0, "corner": 0, "landmark": 0}
    _, place = family.landmarks(world.factors())
    for _ in range(120):
        # Mostly straight on, so that bodies press against walls, their ends and landmarks.
        action = rng.choice([0, 1, 2], 64, p=[0.15, 0.1, 0.75])
        if actions == "continuous":
            action = np.stack([rng.uniform(-1, 1, 64), rng.uniform(0, 1.5, 64)], 1)
        before = world.position.copy()
        _, terminated, _ = world.step(action)
        assert np.linalg.norm(world.position - before, axis=1).max() <= stride * 1.1  # a slide follows an arc
        for i, (middle, half, face) in enumerate(walls):
            away = np.maximum(np.abs(middle - world.position[i]) - half, 0)
            gap = np.linalg.norm(away, axis=1) - mazes.RADIUS
            assert gap.min(initial=9) >= -1e-5 and np.abs(world.position[i]).max() <= face - mazes.RADIUS + 1e-5
            touched["wall"] += (gap < 1e-5).any()
            touched["corner"] += ((gap < 1e-5) & (away > 1e-3).all(1)).any()
        gap = discs.gaps(world.position, place, world._rim)
        assert gap.min() >= -1e-8
        touched["landmark"] += (gap < 1e-6).sum()
        if terminated.any():
            world.reset(terminated)
            walls, (_, place) = list(solids(world)), family.landmarks(world.factors())
    assert min(touched.values()) > 10, touched


def test_sliding_agrees_with_small_steps():
    """One step along walls and round their ends leads near where a hundred short ones do."""
    world = world_of(200, "open")
    rng = np.random.default_rng(1)
    args = world.factors()["cells"], world._around, world._centre, world._rim, mazes.RADIUS
    position = world.position
    for _ in range(12):
        angle = rng.uniform(-math.pi, math.pi, 200)
        move = 0.22 * np.stack([np.cos(angle), np.sin(angle)], 1)
        near = position
        for _ in range(100):
            near = corridors.slide(near, near + move / 100, *args)
        far = corridors.slide(position, position + move, *args)
        slid = np.linalg.norm(far - position - move, axis=1) > 1e-9
        assert np.linalg.norm(far - near, axis=1)[~slid].max() < 1e-9
        assert np.linalg.norm(far - near, axis=1).max() < 0.12  # as a chord differs from its arc
        position = far
    assert slid.sum() > 5


@pytest.mark.parametrize(("goal", "split"), [("colour", "train"), ("shape", "new-shapes"), ("shape", "more-objects")])
def test_goals_are_never_in_doubt_and_bodies_begin_elsewhere(goal, split):
    world = world_of(150, split, goal=goal)
    factors, target, seen = world.factors(), world.facts()["target"], world.observe()
    cell, _ = family.landmarks(factors)
    for i in range(150):
        n = factors["n_objects"][i]
        own = factors["hue" if goal == "colour" else "shape"][i, :n]
        others = np.delete(own, target[i])
        if goal == "colour":
            turn = np.abs(others - own[target[i]])
            assert np.minimum(turn, 1 - turn).min() >= 0.08
            assert np.array_equal(seen["goal"][i], family.rgb(own[target[i]]))
        else:
            assert own[target[i]] not in others and seen["goal"][i].argmax() == own[target[i]]
        body = np.floor(world.position[i] / family.CELL + factors["cells"][i] / 2).astype(int)
        assert np.abs(cell[i, target[i]] - body).sum() >= 2
        assert not (cell[i, :n] == body).all(1).any()
    assert len(set(target.tolist())) >= 2


def test_what_it_pays_agrees_with_a_slow_account():
    options = {"touch_cost": 0.3, "step_cost": 0.01, "shaping": 0.5, "discount": 0.9, "max_steps": 90}
    world = world_of(24, "more-objects", **options)
    near, paid, cost = [set() for _ in range(24)], 0, 0
    metres = lambda: world.observe()["state"][:, 4 * world._k].astype(float)
    for t in range(200):
        (_, place), rim, target = family.landmarks(world.factors()), world._rim, world.facts()["target"]
        before = metres()
        reward, terminated, truncated = world.step(world.random() if t % 40 < 15 else world.scripted())
        after = metres()
        for i in range(24):
            gaps = np.hypot(*(place[i] - world.position[i]).T) - rim[i]
            now = {k for k in range(len(gaps)) if rim[i, k] > 0 and gaps[k] <= mazes.TOUCH}
            new, near[i] = now - near[i] - {target[i]}, now
            reached = target[i] in now
            expected = reached - 0.3 * len(new) - 0.01 + 0.5 * (before[i] - 0.9 * (0 if reached else after[i]))
            assert reward[i] == pytest.approx(expected, abs=1e-4) and terminated[i] == reached
            paid, cost = paid + reached, cost + len(new)
        done = terminated | truncated
        world.reset(done)
        for i in np.flatnonzero(done):
            near[i] = set()
    assert paid > 10 and cost > 0
    assert mazes.Config().shaping == 0 and mazes.Config().step_cost == 0


def test_the_state_sensor_agrees_with_a_slow_account():
    world = world_of(40, "larger")
    for _ in range(5):
        world.reset(world.step(world.random())[1])
    factors, facts, state = world.factors(), world.facts(), world.observe()["state"]
    cell, place = family.landmarks(factors)
    for i in range(40):
        (x, y), yaw, n, target = world.position[i], world.yaw[i], factors["cells"][i], facts["target"][i]
        bearing = lambda p: math.atan2(p[1] - y, p[0] - x) - yaw  # noqa: B023
        entries = []
        for k in range(factors["n_objects"][i]):
            gap = math.dist((x, y), place[i, k]) - world._rim[i, k]
            turn = bearing(place[i, k])
            entries.append((k != target, gap, math.sin(turn), math.cos(turn), world._rim[i, k] - mazes.RADIUS))
        entries.sort()
        expected = [*entries[0][2:4], entries[0][1], entries[0][4]]
        for _, gap, sine, cosine, _ in entries[1:]:
            expected += [1, sine, cosine, gap]
        expected += [0] * (4 * world._k - len(expected))
        assert state[i, : 4 * world._k] == pytest.approx(expected, abs=1e-4)
        # The way is at least as long as the crow flies, and as many cells as a search by the map finds.
        own = np.floor((x, y) / np.float64(family.CELL) + n / 2).astype(int)
        steps = {tuple(2 * own + 1): 0}
        front = [tuple(2 * own + 1)]
        while front:
            here = front.pop(0)
            for way in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                there = (here[0] + way[0], here[1] + way[1])
                if not facts["map"][i][there] and there not in steps:
                    steps[there] = steps[here] + 1
                    front.append(there)
        length = steps[tuple(2 * cell[i, target] + 1)] / 2 * family.CELL
        assert abs(state[i, 4 * world._k] - length) <= 2 * family.CELL and state[i, 4 * world._k] >= state[i, 2] - 1.5
        middle = (own + 0.5 - n / 2) * family.CELL - (x, y)
        c, s = math.cos(yaw), math.sin(yaw)
        tail = [c * middle[0] + s * middle[1], c * middle[1] - s * middle[0]]
        for side, way in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
            turn = side * math.pi / 2 - yaw
            tail += [float(facts["map"][i][tuple(2 * own + 1 + way)]), math.sin(turn), math.cos(turn)]
        assert state[i, -14:] == pytest.approx(tail, abs=1e-4)


def test_time_limits_grow_with_the_maze():
    world = world_of(60, "train", seed=3)
    cells, limit = world.factors()["cells"], np.zeros(60)
    running = np.ones(60, bool)
    while running.any():
        steps = world.steps.copy()
        _, terminated, truncated = world.step(np.zeros(60, np.int64))
        limit[running & truncated] = steps[running & truncated] + 1
        running &= ~(terminated | truncated)
        world.reset(terminated | truncated)
    assert {int(limit[cells == n].min()) for n in (5, 6, 7)} == {238, 344, 468} == set(limit.astype(int))
    assert world.max_steps == 468


def test_nothing_is_a_mirror_and_depth_is_what_is_walked():
    """A landmark to the body's left is left in the picture, of the goal's colour, and a wall ahead as far as it looks."""
    world = envs.make("mazes", None, 1, sensors=("image", "depth", "ids", "goal", "state"), size=(64, 64))
    world.reset()
    one_maze(world, openness=1.0, hue=[0.33, 0.6], corner=[2, 3], east=[0.5, 0.9], north=[0.5, 0.9])
    world.target[:] = 0
    world._measured[:] = False
    place = family.landmarks(world.factors())[1][0, 0]
    at(world, place[0] - 2.5, place[1] - 0.5)
    seen = world.observe()
    there = seen["ids"][0] == family.FIRST_OBJECT
    assert there.sum() > 20 and there.any(0).nonzero()[0].mean() < 28 and seen["state"][0, 0] > 0
    lit = seen["image"][0][there].astype(float).mean(0)
    assert lit.argmax() == seen["goal"][0].argmax() == 1
    wall = seen["ids"][0] == 1
    face = 2.5 * family.CELL - family.THICKNESS / 2
    # Depth is along the axis, which looks down by a tenth of a radian.
    assert seen["depth"][0][wall].max() == pytest.approx(face - world.position[0, 0], rel=0.08)
    world.step(np.array([0]))
    assert (world.observe()["ids"][0] == family.FIRST_OBJECT).any(0).nonzero()[0].mean() > 28


def put(*place_and_value):
    """A function of an array: the same with the last argument in the place before it."""
    *place, value = place_and_value

    def change(array):
        array = array.astype(np.result_type(array, type(value)))
        array[(slice(None), *place)] = value
        return array

    return change


def rows_of(world, **factors):
    return {name: change(world.factors()[name].copy()) for name, change in factors.items()}


def test_another_layout_moves_walls_and_nothing_else():
    world = world_of(3, sensors=("image", "depth", "pose", "state", "goal"))
    one_maze(world)
    before, state, facts = world.observe(), world.state_dict(), world.facts()
    layout = np.full(3, 0.7)
    world.intervene({"layout": layout}, np.array([True, True, False]))
    after, now = world.observe(), world.facts()
    assert (before["depth"] != after["depth"]).any((1, 2)).tolist() == [True, True, False]
    assert (facts["map"] != now["map"]).any((1, 2)).tolist() == [True, True, False]
    assert np.array_equal(before["pose"], after["pose"]) and np.array_equal(before["goal"], after["goal"])
    for name, value in world.state_dict().items():
        assert name == "factors.layout" or np.array_equal(value, state[name]), name
    # The way is measured anew; who follows it arrives.
    assert (before["state"] != after["state"]).any(1)[:2].all()
    for _ in range(238):
        _, terminated, _ = world.step(np.where(world.live, world.scripted(), 0))
        if terminated.any():
            break
    assert terminated.any()
    other = world_of(3, seed=5)
    one_maze(other)
    other.load_state_dict(state)
    assert np.array_equal(other.observe()["state"], before["state"])


def test_colours_and_textures_change_pictures_only():
    world = world_of(2, sensors=("image", "depth", "state", "ids"))
    one_maze(world, openness=1.0)
    seen = world.observe()
    for factor, other in (("wall_hue", 0.3), ("floor_texture", 1), ("light_azimuth", 2.0), ("wall_texture", 1)):
        there = world.factors()[factor]
        world.intervene({factor: (there + other) % {"wall_hue": 1, "floor_texture": 3}.get(factor, 5)})
        now = world.observe()
        assert (now["image"] != seen["image"]).any((1, 2, 3)).all(), factor
        assert all(np.array_equal(now[sensor], seen[sensor]) for sensor in ("depth", "state", "ids"))
        seen = now


IMPOSSIBLE = [
    ({"east": put(1, 0.15), "north": put(1, 0.05)}, "two objects would share a cell"),
    ({"cells": put(4)}, "a wall would stand where the body is"),
    ({"cells": put(10)}, "factor cells must be an integer from 3 to 9, not 10"),
    ({"size": put(0, 0.0)}, "of no size"),
    ({"size": put(0, 0.5)}, "factor size must be a number from 0 to 0.33, not 0.5"),
    ({"hue": put(0, 0.61)}, "would not be told apart"),
    ({"n_objects": put(1)}, "the target would be gone"),
    ({"n_objects": put(3)}, "of no size"),
    ({"east": put(1, 0.5), "north": put(1, 0.5), "corner": put(1, 3)}, "an object would stand where the body is"),
    ({"layout": put(1.0)}, "factor layout must be a number from 0 to 1"),
    ({"openness": put(-0.1)}, "factor openness must be a number from 0 to 1"),
    ({"corner": put(0, 1.5)}, "factor corner must be an integer from 0 to 3"),
]


@pytest.mark.parametrize(("factors", "why"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_and_changes_nothing(factors, why):
    world = envs.make("mazes", None, 2, sensors=envs.SENSORS, size=(16, 16))
    world.reset()
    one_maze(world)
    world.target[:] = 1
    # The middle of a maze of 5 is that of a cell; in one of 4, something stands there.
    at(world, *(0.6, 0.6) if "an object would stand" in why else (0.2, 0.2))
    state, seen = world.state_dict(), world.observe()
    with pytest.raises(errors.CaveError, match=why) as caught:
        world.intervene(rows_of(world, **factors))
    assert "\n" not in str(caught.value)
    for name, value in world.state_dict().items():
        assert np.array_equal(value, state[name]), name
    for name, value in world.observe().items():
        assert np.array_equal(value, seen[name]), name
    if not any(word in why for word in ("body", "gone")):
        why = "no target that its colour tells apart" if "told apart" in why else why
        with pytest.raises(errors.CaveError, match=why):
            world.reset(factors=world.factors() | rows_of(world, **factors))


def test_options_out_of_range_are_answered():
    for bad in ({"max_steps": -1}, {"stride": 2.0}, {"turn": math.nan}, {"image_size": 0}):
        with pytest.raises(errors.CaveError, match=next(iter(bad))):
            mazes.Config(**bad)
    with pytest.raises(errors.CaveError, match="cells are 1 to 7"):
        envs.make("mazes", mazes.Config(cells=(1, 7)))
    config = mazes.Config()
    object.__setattr__(config, "goal", "color")  # past the annotations, which the tests check as well
    with pytest.raises(errors.CaveError, match="did you mean 'colour'"):
        config.__post_init__()


def test_a_maze_in_which_nobody_could_begin_is_put_back_all_the_same():
    """One landmark alone has its colour, and from every cell that is free it is a step away."""
    world = world_of(64, "more-objects", cells=(3, 3))
    factors = world.factors()
    row = int(np.argmax(factors["n_objects"]))
    target = world.target[row]
    assert factors["n_objects"][row] == 5
    factors["hue"][row] = np.where(np.arange(5) == target, 0.6, 0.1)
    spots = np.insert([(0, 0), (0, 2), (2, 0), (2, 2)], target, (1, 1), axis=0)
    factors["east"][row], factors["north"][row] = (spots.T + 0.5) / 3
    only = np.arange(64) == row
    world.intervene(factors, only)
    state = world.state_dict()
    other = world_of(64, "more-objects", 5, cells=(3, 3))
    other.load_state_dict(state)
    assert (other.position[row] == world.position[row]).all() and other.target[row] == target
    for name in STATE:
        assert (world.observe()[name] == other.observe()[name]).all()
    with pytest.raises(errors.CaveError, match="no cell to begin in"):
        world.reset(only, factors=factors)
    assert all((value == state[name]).all() for name, value in world.state_dict().items())
