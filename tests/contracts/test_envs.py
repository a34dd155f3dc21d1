"""Every environment keeps the promises of its package."""

import copy
import dataclasses
import json
import os
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from scenes.kit import errors, plugins

NAMES = plugins.names("envs")
CHEAP = ("pose", "goal", "action", "state")
PATIENCE = 10
"""Time limits that the scripted player has to show that a goal can be reached at all."""
DIGESTS = Path(__file__).parent / "digests.py"


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(autouse=True)
def one_thread():
    """Pictures of a few pixels are drawn by one thread: the bytes are the same, and two only wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def tiny(name):
    return envs.module(name).Config.tiny()


def env_id(name):
    return f"cave/{name.title().replace('_', '')}-v0"


def same(a, b) -> bool:
    """Whether two trees of arrays, numbers and None are equal, bit by bit and type by type."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object:
        return a.shape == b.shape and all(same(x, y) if x is not None else y is None for x, y in zip(a, b))
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def history(world, steps, player="random", resets=()) -> list:
    """What `steps` steps of a world give, worlds being reset as their episodes end and where `resets` says."""
    out = []
    for t in range(steps):
        action = getattr(world, player)()
        reward, terminated, truncated = world.step(action)
        out.append((action, reward, terminated, truncated, world.observe()))
        done = terminated | truncated
        if t in resets:
            done[resets[t] % world.n] = True
        if done.any():
            world.reset(done)
    return out


def test_gymnasium_accepts_it(name):
    env = gymnasium.make(env_id(name), config=tiny(name), sensors=envs.SENSORS, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_options_that_nobody_takes_are_refused_in_one_line():
    with pytest.raises(errors.CaveError, match=r"unknown option 'siz': .*did you mean 'size'\?.*go into config"):
        gymnasium.make("cave/Rooms-v0", siz=(64, 64))
    with pytest.raises(errors.CaveError, match="unknown option 'image_size'"):
        gymnasium.make_vec("cave/Rooms-v0", num_envs=2, image_size=0)
    with pytest.raises(errors.CaveError, match="unknown render_mode 'human': choose from rgb_array"):
        gymnasium.make("cave/Rooms-v0", render_mode="human")


def test_vector_face_equals_single_faces(name):
    config = dataclasses.replace(tiny(name), max_steps=9)
    ours = gymnasium.make_vec(env_id(name), num_envs=3, config=config, sensors=envs.SENSORS)
    theirs = gymnasium.vector.SyncVectorEnv(
        [lambda: envs.single(name, config, sensors=envs.SENSORS)] * 3, autoreset_mode="SameStep"
    )
    for env in (ours, theirs):
        env.action_space.seed(3)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert all(same(x, y) for x, y in zip(ours.reset(seed=5), theirs.reset(seed=5)))
    ended = 0
    for _ in range(25):
        action = ours.action_space.sample()
        a, b = ours.step(action), theirs.step(action)
        assert all(same(x, y) for x, y in zip(a, b))
        assert a[0] in ours.observation_space
        ended += "final_obs" in a[4]
    assert ended >= 2


def test_episodes_do_not_depend_on_company_or_order(name):
    alone = [envs.make(name, tiny(name), 1, seed=40 + i, sensors=envs.SENSORS) for i in range(7)]
    for world in alone:
        world.reset()
    second = [(world.reset(), world.observe())[1] for world in alone]
    for n in (2, 7):
        together = envs.make(name, tiny(name), n, seed=40, sensors=envs.SENSORS)
        together.reset()
        for row in np.random.default_rng(n).permutation(n):
            together.reset(np.arange(n) == row)
        seen = together.observe()
        for sensor in envs.SENSORS:
            assert same(seen[sensor], np.concatenate([one[sensor] for one in second[:n]])), sensor


@pytest.fixture(scope="module")
def elsewhere():
    """What two other processes say of all worlds: two of them at once, and seven after a hundred other resets."""
    started = [
        subprocess.Popen(
            [sys.executable, DIGESTS, *numbers],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "NUMBA_NUM_THREADS": "1"},
        )
        for hash_seed, *numbers in (("1", "2", "0"), ("77", "7", "100"))
    ]
    told = [process.communicate()[0] for process in started]
    assert not any(process.returncode for process in started)
    return [json.loads(text) for text in told]


def test_same_bytes_in_another_process_company_and_order(name, elsewhere):
    """Also under another hash seed, and after other resets."""
    here = runpy.run_path(str(DIGESTS))["digest"](name, 1, 0)
    two, seven = (digests[name] for digests in elsewhere)
    assert len(set(seven)) == 7
    assert here == two[:1] and two == seven[:2]


def test_other_seeds_and_episodes_differ(name):
    world = envs.make(name, tiny(name), 4, sensors=CHEAP)
    world.reset()
    first = world.observe()["state"].copy()
    assert len({row.tobytes() for row in first}) == 4
    world.reset()
    assert all(not same(a, b) for a, b in zip(first, world.observe()["state"]))
    world.reset(seeds=world.seeds)
    assert same(first, world.observe()["state"])


def test_a_state_put_back_continues_exactly(name):
    config = dataclasses.replace(tiny(name), max_steps=12)
    world = envs.make(name, config, 5, seed=3, sensors=envs.SENSORS)
    world.reset()
    history(world, 17)
    state = world.state_dict()
    kept = {key: value.copy() for key, value in state.items()}
    expected = history(world, 30, resets={4: 1, 9: 2})
    assert same(state, kept), "the state shares memory with the world"
    for other in (world, envs.make(name, config, 5, seed=99, sensors=envs.SENSORS)):
        other.load_state_dict(state)
        for a, b in zip(expected, history(other, 30, resets={4: 1, 9: 2})):
            assert all(same(x, y) for x, y in zip(a, b))
    short = envs.make(name, config, 4)
    with pytest.raises(errors.CaveError, match="must have shape"):
        short.load_state_dict(state)
    with pytest.raises(errors.CaveError, match="nothing"):
        world.load_state_dict({key: value for key, value in state.items() if key != "steps"})


def test_copies_go_on_by_themselves_and_closed_worlds_no_more(name):
    world = envs.make(name, tiny(name), seed=3, sensors=CHEAP)
    world.reset()
    history(world, 5)
    state = world.state_dict()
    copies = [copy.deepcopy(world), pickle.loads(pickle.dumps(world))]  # noqa: S301 -- bytes of our own
    told = [history(one, 4) for one in copies]
    assert same(state, world.state_dict()), "a copy shares memory"
    for a, b, c in zip(history(world, 4), *told, strict=True):
        assert all(same(x, y) and same(x, z) for x, y, z in zip(a, b, c))
    for one in (envs.Env(copies[0]), envs.VectorEnv(copies[1])):
        one.close()
        one.close()
        for call in (one.reset, lambda one=one: one.step(one.action_space.sample())):
            with pytest.raises(errors.CaveError, match=f"{name}: these worlds are closed; make others"):
                call()
    world.step(world.random())


def test_observations_lie_in_their_space(name):
    world = envs.make(name, dataclasses.replace(tiny(name), max_steps=20), 3, sensors=envs.SENSORS)
    world.reset()
    for *_, seen in history(world, 40):
        for row in range(world.n):
            assert {sensor: value[row] for sensor, value in seen.items()} in world.observation_space


def test_observing_a_part_leaves_the_rest(name):
    world = envs.make(name, tiny(name), 3, sensors=envs.SENSORS)
    world.reset()
    everything = world.observe()
    part = {sensor: np.full_like(value, 7) for sensor, value in everything.items()}
    returned = world.observe(np.array([True, False, True]), out=part)
    for sensor in envs.SENSORS:
        assert returned[sensor] is part[sensor]
        assert same(part[sensor][[0, 2]], everything[sensor][[0, 2]])
        assert (part[sensor][1] == 7).all()
    assert not any(np.shares_memory(everything[s], world.observe()[s]) for s in envs.SENSORS)


def test_the_time_limit_is_its_own(name):
    world = envs.make(name, dataclasses.replace(tiny(name), max_steps=5), 8, sensors=CHEAP)
    world.reset()
    for t in range(1, 6):
        _, terminated, truncated = world.step(world.random())
        assert not (terminated & truncated).any()
        assert (truncated == (t == 5)).all() or terminated.any()
        if terminated.any():
            world.reset(terminated)
    assert not world.live[truncated].any()
    with pytest.raises(errors.CaveError, match="is over; call reset"):
        world.step(world.random())


def test_bad_actions_are_refused_and_nothing_moves(name):
    world = envs.make(name, tiny(name), 3, seed=20, sensors=CHEAP)
    with pytest.raises(errors.CaveError, match=rf"{name}, world 0 \(seed 20.*reset first"):
        world.step(world.random())
    with pytest.raises(errors.CaveError, match="reset first"):
        world.observe()
    world.reset()
    before = world.state_dict()
    good = world.random()
    spoilt = good.astype(float)
    spoilt[1] = np.nan
    for action in (good[:2], good[None], spoilt, good.astype(str), good + 100 if good.dtype.kind == "i" else good > 0):
        with pytest.raises(errors.CaveError, match=rf"{name}, world \d \(seed 2\d, episode 0, step 0\)"):
            world.step(action)
    assert same(before, world.state_dict())


def test_slips_are_answered(name):
    with pytest.raises(errors.CaveError, match="did you mean 'train'"):
        envs.make(name, tiny(name), split="trian")
    with pytest.raises(errors.CaveError, match="did you mean 'image'"):
        envs.make(name, tiny(name), sensors=("imag",))
    with pytest.raises(errors.CaveError, match=f"choose from {', '.join(NAMES)}; did you mean {name!r}"):
        envs.make(f"{name}x")
    with pytest.raises(errors.CaveError, match="at least 1"):
        envs.make(name, n=0)
    world = envs.make(name, tiny(name), 2, sensors=CHEAP)
    with pytest.raises(errors.CaveError, match="below 2\\^63"):
        world.reset(seeds=np.full(2, 2**63, np.uint64))
    with pytest.raises(errors.CaveError, match="2 booleans"):
        world.reset(np.array([1, 0]))
    with pytest.raises(errors.CaveError, match="2 integers"):
        world.reset(seeds=np.array([0.5, 1]))
    with pytest.raises(errors.CaveError, match="unknown factor"):
        world.reset(factors={"nonsense": np.zeros(2)})
    with pytest.raises(errors.CaveError, match=r"reset option 'factor'.*did you mean 'factors'"):
        envs.VectorEnv(world).reset(options={"factor": {}})


def played(name, player, seeds, patience=1):
    """Returns of first episodes, and after how many steps they succeeded (never: infinity), `patience` time limits long."""
    limit = envs.make(name, tiny(name), sensors=()).max_steps
    config = dataclasses.replace(tiny(name), max_steps=patience * limit)
    n, t = len(seeds), 0
    world = envs.make(name, config, n, sensors=())
    world.reset(seeds=seeds)
    returns, success, running = np.zeros(n), np.full(n, np.inf), np.ones(n, bool)
    while running.any():
        reward, terminated, truncated = world.step(getattr(world, player)())
        t += 1
        returns += reward * running
        success[running & world.facts()["success"]] = np.minimum(success, t)[running & world.facts()["success"]]
        running &= ~(terminated | truncated)
        if (terminated | truncated).any():
            world.reset(terminated | truncated)
    return returns, success, limit


def test_a_scripted_player_beats_chance_or_is_refused(name):
    """And reaches every goal, given time: there is a way."""
    if "scripted" not in envs.module(name).World.PLAYERS:
        with pytest.raises(errors.CaveError, match="has no scripted player"):
            envs.make(name, tiny(name), sensors=CHEAP).scripted()
        return
    returns, success, limit = played(name, "scripted", 1 + np.arange(200), PATIENCE)
    by_chance, lucky, _ = played(name, "random", 1 + np.arange(200))
    assert np.isfinite(success).all()
    assert (success <= limit).mean() >= 0.9
    assert (success <= limit).mean() > 3 * np.isfinite(lucky).mean() > 0
    assert returns.mean() > by_chance.mean()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_goal_of_ten_thousand_seeds_can_be_reached(name):
    if "scripted" in envs.module(name).World.PLAYERS:
        for start in range(0, 10_000, 500):
            _, success, _ = played(name, "scripted", start + np.arange(500), PATIENCE)
            assert np.isfinite(success).all(), start + np.flatnonzero(np.isinf(success))
    else:
        world = envs.make(name, tiny(name), 500, sensors=("state",))
        for start in range(0, 10_000, 500):
            world.reset(seeds=start + np.arange(500))
            world.step(world.random())
            assert np.isfinite(world.observe()["state"]).all()


def test_factors_are_told_at_reset_and_end_and_lie_in_their_split(name):
    module = envs.module(name)
    config = dataclasses.replace(tiny(name), max_steps=3)
    known = module.splits(config)
    for split in known:
        vector = envs.vector(name, 8, config, split, sensors=CHEAP)
        infos = [vector.reset(seed=0)[1]]
        for _ in range(3):
            *_, info = vector.step(vector.world.random())
            if info:
                infos += [info["final_info"], info]
        assert len(infos) >= 3
        for info in infos:
            told = info["_factors"]
            factors = {key: value[told] for key, value in info["factors"].items() if not key.startswith("_")}
            assert known[split].contains(factors).all()
            if known[split].in_distribution_of is None and split != "train":
                assert not known["train"].contains(factors).any()
        # The first end is that of first episodes, of one world at least: some may end before others.
        ended = infos[1]["_factors"]
        start, end = ({key: value[ended] for key, value in info["factors"].items()} for info in infos[:2])
        assert ended.any() and same(start, end), "the end tells of another scene than the start"


def test_interventions_hold_for_one_episode(name):
    vector = envs.vector(name, 2, tiny(name), sensors=CHEAP)
    _, info = vector.reset(seed=0)
    factor = next(key for key, value in info["factors"].items() if value.dtype.kind == "f" and value.ndim == 1)
    wanted = np.array([0.125, 0.375])
    _, changed = vector.reset(seed=0, options={"factors": {factor: wanted}})
    assert same(changed["factors"][factor], wanted.astype(info["factors"][factor].dtype))
    others = [key for key in info["factors"] if factor not in key]
    assert all(same(info["factors"][key], changed["factors"][key]) for key in others)
    state = vector.world.state_dict()
    _, after = vector.reset()
    assert not np.isin(wanted, after["factors"][factor]).any()
    vector.world.load_state_dict(state)
    assert same(vector.world.factors()[factor], changed["factors"][factor])
    single = envs.single(name, tiny(name), sensors=CHEAP)
    _, alone = single.reset(seed=0, options={"factors": {factor: wanted[0]}})
    assert alone["factors"][factor] == wanted[0]


def test_an_intervention_is_refused_or_changes_what_it_says_and_no_more(name):
    world = envs.make(name, tiny(name), 3, seed=4, sensors=envs.SENSORS)
    with pytest.raises(errors.CaveError, match="call reset first"):
        world.intervene({})
    world.reset()
    for _ in range(4):
        world.step(world.random())
    before, seen, factors = world.state_dict(), world.observe(), world.factors()
    if type(world).change is envs.World.change:
        with pytest.raises(errors.CaveError, match=f"{name} cannot change factors while an episode runs") as caught:
            world.intervene(factors)
        assert "\n" not in str(caught.value) and same(before, world.state_dict())
        assert name == "gymnasium", "what is not somebody else's can be changed"
        return
    world.intervene(factors)
    assert same(before, world.state_dict()) and same(seen, world.observe())
    world.intervene({key: np.full_like(value, 10**6) for key, value in factors.items()}, np.zeros(3, bool))
    for slip in (
        {"nonsense": np.zeros(3)},
        *({key: value[:2]} for key, value in factors.items()),
        *({key: value[..., None]} for key, value in factors.items()),
        *({key: np.full(value.shape, np.nan)} for key, value in factors.items()),
    ):
        with pytest.raises(errors.CaveError, match="factor") as caught:
            world.intervene(slip)
        assert "\n" not in str(caught.value)
    with pytest.raises(errors.CaveError, match="3 booleans"):
        world.intervene(factors, np.ones(2, bool))
    assert same(before, world.state_dict()) and same(seen, world.observe())


def test_a_reset_that_is_refused_changes_nothing(name):
    """Neither states nor counters, nor what is random, nor what is seen; whichever worlds were meant."""
    world = envs.make(name, tiny(name), 3, seed=4, sensors=envs.SENSORS)
    world.reset()
    for _ in range(4):
        world.step(world.random())
    before, seen, factors = world.state_dict(), world.observe(), world.factors()
    slips = [{"nonsense": np.zeros(3)}]
    slips += [{key: np.full(value.shape, np.nan)} for key, value in factors.items()]
    slips += [{key: value[..., None]} for key, value in factors.items()]
    slips += [{key: np.full(value.shape, "red")} for key, value in factors.items()]
    slips += [{"n_objects": np.full(3, 10**6)}]
    for slip in slips:
        for mask, own in ((None, None), (np.array([False, True, False]), world.seeds + 9)):
            with pytest.raises(errors.CaveError, match="factor") as caught:
                world.reset(mask, own, slip)
            assert "\n" not in str(caught.value)
            assert same(before, world.state_dict()) and world.live.all()
    assert same(seen, world.observe())
    fresh = envs.make(name, tiny(name), 3, seed=99, sensors=envs.SENSORS)
    fresh.load_state_dict(before)
    for a, b in zip(history(world, 6, resets={2: 1}), history(fresh, 6, resets={2: 1})):
        assert all(same(x, y) for x, y in zip(a, b))


def test_a_scene_that_cannot_be_drawn_is_told_when_its_turn_has_come():
    """Though scenes of several episodes are drawn at once."""
    world = envs.make("rooms", tiny("rooms"), 2, sensors=CHEAP)
    turns = []
    for _ in range(6):
        world.reset()
        turns.append(int(world.scene_index()[1]))

    class Fussy(type(world._split)):
        def sample(self, seed, index):
            if np.isin(index, turns[4]).any():
                raise errors.CaveError("no way to place objects")
            return super().sample(seed, index)

    split = world._split
    world = envs.make("rooms", tiny("rooms"), 2, sensors=CHEAP)
    world._split = Fussy(**{field.name: getattr(split, field.name) for field in dataclasses.fields(split)})
    for _ in range(4):
        world.reset()
    with pytest.raises(errors.CaveError, match="no way to place"):
        world.reset()


KINDS_OF_SLIP = """
import envs
from scenes.kit import errors

tiny = envs.module("rooms").Config.tiny()
stream = lambda **slip: envs.stream(**{
    "name": "rooms", "config": tiny, "kind": "Episodes", "split": "train", "seed": 0, "batch_size": 2, "size": (8, 8)
} | slip)
env = envs.single("rooms", tiny, sensors=("pose",))
env.reset(seed=0)
for call in (
    lambda: envs.make("rooms", tiny, n=1.5),
    lambda: envs.make("rooms", tiny, seed=1.5),
    lambda: envs.make("rooms", tiny, seed=2**63),
    lambda: envs.make("rooms", tiny, size=64),
    lambda: envs.make("rooms", tiny, size=(8, 8.5)),
    lambda: envs.make("rooms", tiny, sensors="image"),
    lambda: envs.make("rooms", {"side": 8}),
    lambda: stream(batch_size=1.5),
    lambda: stream(views=0),
    lambda: stream(length=0),
    lambda: stream(seed=1.5),
    lambda: stream(size=(8,)),
    lambda: stream(config=3),
    lambda: stream(device="gpu"),
    lambda: stream(player=None),
    lambda: stream(scripted_share="half"),
    lambda: env.reset(options=3),
    lambda: env.reset(options={"factors": 3}),
    lambda: env.reset(options={"factors": {"hue": [[1, 2], [3]]}}),
    lambda: env.intervene(None),
    lambda: env.intervene({"hue": [[1, 2], [3]]}),
    lambda: env.step([[1, 2], [3]]),
):
    try:
        call()
        print("was taken")
    except errors.CaveError as error:
        print(error)
"""


def test_arguments_of_another_kind_are_answered_in_one_line():
    """In a process of its own: here annotations are checked, which elsewhere they are not."""
    told = subprocess.run([sys.executable, "-c", KINDS_OF_SLIP], stdout=subprocess.PIPE, text=True, check=True).stdout
    wanted = [
        "worlds must be an integer of at least 1, not 1.5",
        "seed must be an integer below 2^63, not 1.5",
        "seed must be an integer below 2^63, not 9223372036854775808",
        "size must be two integers, height and width, not 64",
        "size must be two integers, height and width, not (8, 8.5)",
        "sensors must be a tuple of names",
        "config must be an envs.rooms.Config, or None for its defaults, not {'side': 8}",
        "batch size must be an integer of at least 1, not 1.5",
        "views must be an integer of at least 1, not 0",
        "length must be an integer of at least 1, not 0",
        "seed must be an integer, not 1.5",
        "size must be two integers, height and width, not (8,)",
        "config must be an envs.rooms.Config",
        "unknown device 'gpu': choose from cpu, cuda",
        "unknown player 'None': choose from mixed, random, scripted",
        "scripted share must be 0 to 1, not 'half'",
        "reset options must be a dict with any of factors, not 3",
        "rooms: factors must be a dict of names and values, not 3",
        "rooms: factors must be numbers or arrays",
        "rooms: factors must be a dict of names and values, not None",
        "rooms: factors must be numbers or arrays",
        "rooms, world 0 (seed 0, episode 0, step 0): actions must be",
    ]
    assert len(told.splitlines()) == len(wanted)
    for line, part in zip(told.splitlines(), wanted):
        assert part in line


@pytest.mark.parametrize("kind", ["Images", "Views", "Episodes", "Geometry"])
def test_streams_are_pure_functions_of_their_step(name, kind):
    if kind not in envs.module(name).STREAMS:
        with pytest.raises(errors.CaveError, match=f"offers no stream '{kind}'"):
            envs.stream(name, tiny(name), kind, "train", 0, 2)
        return

    def fresh(split="train", seed=0, b=3):
        return envs.stream(name, tiny(name), kind, split, seed, b, size=(12, 16), views=4, length=6)

    stream = fresh()
    drawn = [stream.draw(step) for step in (0, 1, 2)]
    assert same(drawn[1], stream.draw(1)) and same(drawn[0], fresh().draw(0))
    assert same(drawn[2], fresh().draw(2))
    pictures = [one["images"].tobytes() for one in drawn]
    pictures += [fresh(seed=1).draw(0)["images"].tobytes(), fresh(split="test").draw(0)["images"].tobytes()]
    assert len(set(pictures)) == 5, "another step, seed or split gives the same pictures"
    # Batch size groups scenes; it does not change them.
    assert same(fresh(b=6).draw(0)["images"], np.concatenate([drawn[0]["images"], drawn[1]["images"]]))
    spec = dataclasses.asdict(stream.spec)
    assert json.loads(json.dumps(spec)) == spec
    assert drawn[0]["images"].dtype == np.uint8 and drawn[0]["images"].shape[-3:] == (12, 16, 3)
    assert drawn[0]["images"].std() > 5
    for bad in ({"split": "trian"}, {"b": 0}):
        with pytest.raises(errors.CaveError):
            fresh(**bad)


def test_an_unknown_stream_is_answered(name):
    with pytest.raises(errors.CaveError, match="offers no stream 'Voxels': it offers") as caught:
        envs.stream(name, None, "Voxels", "train", 0, 2)
    assert "\n" not in str(caught.value)
