"""The environment `sprites`: what a click moves, what it pays, and how its tasks are done."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics

import envs
from envs import benchmark, sprites
from envs.physics import clusters
from scenes import sprites as family
from scenes.kit import errors

SQUARE = family.SHAPES.index("square")
TASKS = ("goal-finding", "clustering", "sorting")


def world(n=1, sensors=("state",), split="train", factors=None, **options):
    made = envs.make("sprites", sprites.Config(**{"image_size": 16} | options), n, split, sensors=sensors)
    made.reset(factors=factors and {name: np.array([value] * n) for name, value in factors.items()})
    return made


def lay(x, y, hue, task="exploration", sensors=("state",), width=None, **options):
    """One world of upright squares, 0.2 wide, in the places given."""
    n, k = len(x), width or {"exploration": 8, "clustering": 6}.get(task, 3)
    rows = {"x": x, "y": y, "hue": hue, "size": [0.2] * n, "saturation": [1.0] * n, "value": [1.0] * n}
    factors = {name: np.pad(np.array(values, float), (0, k - n)) for name, values in rows.items()}
    factors |= {"n_objects": n, "shape": np.full(k, SQUARE)}
    return world(task=task, sensors=sensors, factors=factors, **options)


def act(made, x, y, dx=0.0, dy=0.0):
    """Click at (x, y) and ask for a motion in metres."""
    motion = 0.5 + np.array([dx, dy]) / made.config.scale
    return made.step(np.array([[x, y, *motion]]))


def test_scenes_that_were_drawn_ahead_are_those_of_their_episodes():
    made = world(3)
    split = sprites.splits(made.config)["train"]
    for turn in range(40):
        made.reset(np.arange(3) == turn * turn % 3)
        if turn == 5:
            made.reset(np.arange(3) < 2, seeds=np.array([7, 8, 9]))
        drawn = split.sample(envs.ROOT, made.scene_index())
        for name, value in made.factors().items():
            np.testing.assert_array_equal(value, drawn[name])
    assert made.episode.max() > 20


def test_only_the_topmost_sprite_under_the_click_moves():
    made = lay([0.4, 0.45, 0.8], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    before = made.position.copy()
    act(made, 0.42, 0.5, 0.1, -0.05)
    np.testing.assert_allclose(made.position[0, 1], [0.55, 0.45], atol=1e-6)
    np.testing.assert_array_equal(made.position[0, [0, 2]], before[0, [0, 2]])
    assert made.moved.tolist() == [1]
    # It was on top there, and is away now.
    act(made, 0.42, 0.5, 0.0, 0.1)
    np.testing.assert_allclose(made.position[0, 0], [0.4, 0.6], atol=1e-6)
    assert made.facts()["moved"].tolist() == [0]


def test_a_click_beside_everything_moves_nothing():
    made = lay([0.3], [0.3], [0.1])
    for x, y in ((0.41, 0.3), (0.3, 0.41), (0.19, 0.3), (0.9, 0.9)):
        act(made, x, y, 0.1, 0.1)
        assert made.moved[0] == -1 and (made.position[0, 0] == 0.3).all()
    for x, y in ((0.39, 0.39), (0.21, 0.21)):
        act(made, x, y, 0.0, 0.0)
        assert made.moved[0] == 0


def test_middles_stay_in_the_frame():
    made = lay([0.95, 0.5], [0.05, 0.5], [0.1, 0.2])
    act(made, 0.95, 0.05, 0.125, -0.125)
    np.testing.assert_array_equal(made.position[0, 0], [1.0, 0.0])
    act(made, 0.99, 0.01, -0.1, 0.05)
    np.testing.assert_allclose(made.position[0, 0], [0.9, 0.05], atol=1e-6)


@pytest.mark.parametrize(("goal", "success"), [((0.5, 0.5), False), ((0.3, 0.65), True)])
def test_goal_finding_pays_targets_alone(goal, success):
    made = lay([0.3, 0.2], [0.6, 0.2], [0.2, 0.7], "goal-finding", bonus=3.0)
    made.reset(factors=made.factors() | {"goal_x": np.array(goal[:1]), "goal_y": np.array(goal[1:])})
    reward, terminated, _ = act(made, 0.2, 0.2, 0.1, 0.1)
    away = np.hypot(0.3 - goal[0], 0.6 - goal[1])
    assert reward[0] == pytest.approx(50 * (0.075 - away) + 3 * success, abs=1e-4)
    assert terminated[0] == made.success[0] == success


def test_all_targets_must_be_there():
    made = lay([0.5, 0.55, 0.9], [0.5, 0.9, 0.9], [0.1, 0.3, 0.6], "goal-finding", sparse=True, n_targets=2, width=4)
    reward, ended, _ = act(made, 0.55, 0.9, 0.0, -0.125)
    assert reward[0] == 0 and not ended[0]
    for _ in range(3):
        reward, ended, _ = act(made, *made.position[0, 1], *np.clip([0.5, 0.5] - made.position[0, 1], -0.1, 0.1))
    assert ended[0] and reward[0] == pytest.approx(50 * (0.15 - np.linalg.norm(made.position[0, 1] - 0.5)), abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_shaping_pays_what_a_step_makes_better(task):
    plain, shaped, alone = (
        world(40, task=task, max_steps=6, **options)
        for options in ({}, {"shaping": 0.5, "discount": 0.9}, {"shaping": 1.0, "sparse": True})
    )
    done = 0
    for _ in range(18):
        before = plain._result()[0]
        actions = plain.scripted()
        worth, ended, out = plain.step(actions)
        after = np.where(ended, 0, worth)
        np.testing.assert_allclose(shaped.step(actions)[0], worth + 0.5 * (0.9 * after - before), rtol=1e-5, atol=1e-4)
        # What is left when all is done is paid as without shaping.
        np.testing.assert_allclose(alone.step(actions)[0], worth - before, rtol=1e-5, atol=1e-4)
        for made in (plain, shaped, alone):
            made.reset(ended | out)
        done += ended.sum()
    assert done > 5


def test_sorting_has_a_place_for_every_colour():
    hues = {"red": 0.95, "blue": 0.6, "green": 0.3, "purple": 0.8, "yellow": 0.15}
    places = {
        "red": (0.75, 0.75),
        "blue": (0.75, 0.25),
        "green": (0.25, 0.75),
        "purple": (0.25, 0.25),
        "yellow": (0.5, 0.5),
    }
    for one, other in (("red", "yellow"), ("blue", "green"), ("purple", "red")):
        made = lay([0.5, 0.3], [0.2, 0.3], [hues[one], hues[other]], "sorting", sensors=("goal",))
        reward, ended, _ = act(made, 0.99, 0.99)
        away = [
            np.hypot(0.5 - places[one][0], 0.2 - places[one][1]),
            np.hypot(0.3 - places[other][0], 0.3 - places[other][1]),
        ]
        assert reward[0] == pytest.approx(20 * (0.15 - sum(away)), abs=1e-4) and not ended[0]
        near = [places[one][0] + 0.07, places[other][0]], [places[one][1], places[other][1] - 0.07]
        made = lay(*near, [hues[one], hues[other]], "sorting", sensors=("goal",))
        reward, ended, _ = act(made, 0.01, 0.99)
        assert ended[0] and reward[0] == pytest.approx(20 * 0.01, abs=1e-4)
        np.testing.assert_allclose(made.observe()["goal"][0].reshape(5, 2), [places[name] for name in family.COLOURS])


def test_separation_is_the_inverse_of_davies_and_bouldin():
    rng = np.random.default_rng(0)
    place, colour = rng.uniform(0, 1, (300, 7, 2)), rng.integers(-1, 5, (300, 7))
    some = [i for i in range(300) if len(set(colour[i]) - {-1}) >= 2 and (np.bincount(colour[i] + 1)[1:] > 1).any()]
    place, colour = place[some], colour[some]
    expected = []
    for where, kind in zip(place, colour):
        counts = kind >= 0
        if len(set(kind[counts])) == counts.sum():
            continue
        expected.append(1 / metrics.davies_bouldin_score(where[counts], kind[counts]))
    assert len(expected) == len(some) > 150
    # Scikit-learn's distances are differences of squares, good to half of the digits.
    np.testing.assert_allclose(clusters.separation(place, colour, 5), np.minimum(expected, 10), rtol=1e-6)


def test_clustering_by_hand_and_where_the_index_has_no_value():
    # Two pairs, 0.2 wide, 0.6 apart: D = (0.1 + 0.1) / 0.6.
    made = lay([0.2, 0.2, 0.8, 0.8], [0.4, 0.6, 0.4, 0.6], [0.6, 0.6, 0.3, 0.3], "clustering")
    reward, ended, _ = act(made, 0.5, 0.95)
    assert reward[0] == pytest.approx(5 * (3 - 2.5), abs=1e-4) and ended[0] and made.success[0]
    made = lay([0.2, 0.2, 0.6, 0.6], [0.4, 0.6, 0.4, 0.6], [0.6, 0.6, 0.3, 0.3], "clustering")
    reward, ended, _ = act(made, 0.5, 0.95)
    assert reward[0] == pytest.approx(5 * (2 - 2.5), abs=1e-4) and not ended[0]
    points = np.array([[[0.2, 0.2], [0.2, 0.2], [0.8, 0.8], [0.8, 0.8]], np.full((4, 2), 0.5).tolist()])
    assert clusters.separation(points, np.array([[0, 0, 1, 1]] * 2), 2).tolist() == [10.0, 0.0]


def test_motion_costs_what_is_asked_for_and_exploration_pays_nothing():
    made = lay([0.3], [0.3], [0.1], motion_cost=2.0)
    reward, ended, _ = act(made, 0.9, 0.9, 0.06, 0.08)
    assert reward[0] == pytest.approx(-0.2, abs=1e-5) and not ended[0]
    assert world(5, task="exploration").step(np.full((5, 4), 0.5))[0].tolist() == [0] * 5


@pytest.mark.parametrize("task", TASKS)
def test_the_scripted_player_beats_chance_by_far_in_every_split(task):
    for split in sprites.splits(sprites.Config(task=task)):
        made = world(40, split=split, task=task)
        rate = {}
        for player in ("random", "scripted"):
            made.reset(seeds=np.arange(40))
            running, success = np.ones(40, bool), np.zeros(40, bool)
            while running.any():
                _, terminated, truncated = made.step(getattr(made, player)())
                success |= running & terminated
                running &= ~(terminated | truncated)
                if (terminated | truncated).any():
                    made.reset(terminated | truncated)
            rate[player] = success.mean()
        assert rate["scripted"] >= 0.95 and rate["random"] < 0.3, split


def test_random_clicks_miss_and_scripted_ones_of_exploration_hit():
    made, hits = world(200, task="exploration"), {}
    for player in ("random", "scripted"):
        moved = []
        for _ in range(8):
            before = made.position.copy()
            made.step(getattr(made, player)())
            changed = (made.position != before).any(-1)
            assert (changed.sum(1) <= (made.moved >= 0)).all()
            assert changed[np.arange(200), made.moved][made.moved >= 0].mean() > 0.9 or not (made.moved >= 0).any()
            moved.append(made.moved)
        hits[player], made = np.mean(np.array(moved) >= 0), world(200, task="exploration")
    assert hits["random"] < 0.1 and hits["scripted"] > 0.97
    assert np.ptp(np.array(moved)) >= 5


def test_a_hidden_target_is_uncovered():
    made = lay([0.3, 0.3], [0.3, 0.3], [0.2, 0.7], "goal-finding")
    for _ in range(15):
        _, ended, _ = made.step(made.scripted())
        if ended[0]:
            break
    assert made.success[0] and (made.position[0, 1] != 0.3).any()


def test_pictures_follow_the_sprites_in_worlds_of_different_company():
    made = world(12, ("image", "ids", "depth"), task="exploration", image_size=64)
    for _ in range(6):
        made.step(made.scripted())
        seen = made.observe()
        for i in range(12):
            centre = made.position[i, : made.factors()["n_objects"][i]]
            inside = np.clip(centre, 0.01, 0.99)
            top = made.topmost(np.tile(inside, (12, 1, 1)))[i]
            column, row = (inside[:, 0] * 64).astype(int), ((1 - inside[:, 1]) * 64).astype(int)
            assert (seen["ids"][i, row, column] == top).mean() > 0.7
            assert set(np.unique(seen["ids"][i])) <= {-1, *range(len(centre))}
        assert (seen["depth"][seen["ids"] == -1] == family.EYE).all()
    part = world(3, ("ids",), task="exploration")
    lone = part.observe()["ids"][2].copy()
    late = envs.make("sprites", part.config, 3, sensors=("ids",))
    late.reset(np.array([False, False, True]))
    np.testing.assert_array_equal(late.observe(np.array([False, False, True]))["ids"][2], lone)


def test_the_state_is_in_the_order_told():
    made = lay([0.3, 0.6], [0.2, 0.7], [0.25, 0.5], width=8)
    act(made, 0.6, 0.7, 0.1, 0.0)
    state = made.observe()["state"].reshape(8, -1)
    shape = np.eye(12)[SQUARE]
    np.testing.assert_allclose(state[0], [1, 0.3, 0.2, 1, 0, 1, 1, 0.2, 0, 1, 0, 0, 0, *shape], atol=1e-6)
    np.testing.assert_allclose(state[1], [1, 0.7, 0.7, 0, -1, 1, 1, 0.2, 0, 1, 1 / 8, 0, 0, *shape], atol=1e-6)
    assert not state[2:].any()


@pytest.mark.parametrize(
    ("task", "hue", "order", "way"),
    [
        ("goal-finding", [0.6, 0.2], [1, 0], [[-0.2, 0.1], [0, 0]]),
        ("sorting", [0.3, 0.95], [1, 0], [[0.05, 0.35], [0.05, -0.05]]),
        ("clustering", [0.3, 0.6, 0.31, 0.61], [1, 3, 0, 2], [[-0.2, 0.25], [0.2, -0.25], [0.05, -0.3], [-0.05, 0.3]]),
    ],
)
def test_the_state_tells_what_concerns_the_task_first_and_where_it_is_wanted(task, hue, order, way):
    x, y = np.array([0.2, 0.7, 0.3, 0.3])[: len(hue)], np.array([0.8, 0.4, 0.2, 0.9])[: len(hue)]
    made = lay(x, y, hue, task)
    state = made.observe()["state"].reshape(made._k, -1)
    np.testing.assert_allclose(state[: len(hue), 1], x[order], atol=1e-6)
    np.testing.assert_allclose(state[: len(hue), 2], y[order], atol=1e-6)
    np.testing.assert_allclose(state[: len(hue), 10] * made._k, order, atol=1e-6)
    np.testing.assert_allclose(state[: len(hue), 11:13], way, atol=1e-6)
    assert not state[len(hue) :].any()


def test_goals_are_told_and_new_ones_are_new():
    for goal in ("centre", "anywhere"):
        old, new = (world(300, ("goal",), split, goal=goal).observe()["goal"] for split in ("train", "new-goal"))
        assert ((new >= 0.55) & (new < 0.8)).all()
        assert not ((old >= 0.55) & (old < 0.8)).all(1).any()
        assert (old == 0.5).all() == (goal == "centre") and (goal == "centre" or np.ptp(old) > 0.55)
    assert world(2, ("goal",), task="clustering").observe()["goal"].shape == (2, 0)


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({"x": [1.2, 0.5, 0.5]}, "factor x must be a number from 0 to 1, not 1.2"),
        ({"y": [0.5, -0.1, 0.5]}, "factor y must be a number from 0 to 1, not -0.1"),
        ({"goal_x": 1.5}, "factor goal_x must be a number from 0 to 1, not 1.5"),
        ({"color": [0.5] * 3}, "unknown factor of sprites 'color'"),
        ({"x": 0.5}, "factor x of a world must be finite numbers of shape \\(3,\\), not"),
        ({"x": [0.5, np.nan, 0.5]}, "finite numbers"),
        ({"hue": [0.6, 0.6, 0.6]}, "seed 0, .*there would be no target, of hue in"),
        ({"n_objects": 4}, "factor n_objects must be an integer from 1 to 3, not 4"),
        ({"n_objects": 3}, "a sprite would be of no size"),
        ({"shape": [12, 0, 0]}, "factor shape must be an integer from 0 to 11, not 12"),
    ],
)
def test_interventions_that_cannot_be_are_refused_in_one_line(factors, told):
    env = envs.single("sprites", sprites.Config.tiny(), sensors=("state", "goal"))
    env.reset(seed=0)
    with pytest.raises(errors.CaveError, match=told) as caught:
        env.reset(seed=0, options={"factors": factors})
    assert "\n" not in str(caught.value)
    where = {"x": np.array([0.25, 0.75, 0.0]), "goal_y": 0.25}
    _, info = env.reset(seed=0, options={"factors": where})
    np.testing.assert_array_equal(env.world.position[0, :2, 0], [0.25, 0.75])
    assert info["factors"]["goal_y"] == 0.25


def test_what_changes_while_an_episode_runs_leaves_sprites_where_they_are():
    made = lay([0.2, 0.5], [0.3, 0.2], [0.2, 0.7], "goal-finding", sensors=("ids", "goal"))
    made.step(made.scripted())
    place = made.position.copy()
    made.intervene({"goal_x": np.array([0.9]), "shape": np.array([[0, 0, 0]])})
    np.testing.assert_array_equal(made.position, place)
    np.testing.assert_allclose(made.observe()["goal"], [[0.9, 0.5]])
    moved = made.factors()["x"].copy()
    moved[0, 1] = 0.95
    made.intervene({"x": moved})
    np.testing.assert_allclose(made.position[0], [place[0, 0], [0.95, 0.2], [0, 0]])
    before = made.state_dict()
    with pytest.raises(errors.CaveError, match="there would be no target"):
        made.intervene({"hue": np.full((1, 3), 0.7)})
    assert all((before[key] == value).all() for key, value in made.state_dict().items())
    while made.live[0]:
        _, ended, _ = made.step(made.scripted())
    assert ended[0] and np.linalg.norm(made.position[0, 0] - [0.9, 0.5]) <= 0.075


def test_time_limits_are_the_paper_s():
    limits = {task: world(task=task).max_steps for task in family.TASKS}
    assert limits == {"goal-finding": 20, "clustering": 50, "sorting": 50, "exploration": 10}
    assert world(max_steps=7).max_steps == 7


@pytest.mark.parametrize("task", family.TASKS)
def test_streams_of_every_task_can_be_watched(task):
    config = dataclasses.replace(sprites.Config.tiny(), task=task)
    for split in sprites.splits(config):
        drawn = envs.stream("sprites", config, "Images", split, 0, 3, (16, 16)).draw(0)
        assert drawn["images"].std() > 5 and not {"goal_x", "goal_y"} & drawn["factors"].keys()
    batch = envs.stream("sprites", config, "Episodes", "train", 0, 4, (16, 16), length=9, player="scripted").draw(1)
    assert batch["actions"].shape == (4, 9, 4) and 0 <= batch["actions"].min() <= batch["actions"].max() <= 1
    moved = (batch["images"][:, 1:] != batch["images"][:, :-1]).any((2, 3, 4))
    assert moved.mean() > 0.8


def test_the_benchmark_measures_it():
    tiny = ["--n-scenes", "4", "--size", "8", "--n-worlds", "2", "--n-steps", "3", "--rounds", "1", "--n-mujoco", "0"]
    rows = benchmark.main(["sprites", *tiny, "--async-envs", "0"])
    assert [row.part for row in rows] == ["ready"] + ["pictures"] * 4 + ["meshes"] * 3 + ["environment"] * 3 + ["data"]
    assert rows[-1].what.startswith("Images") and all(row.rate > 0 for row in rows)
