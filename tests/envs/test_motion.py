"""Hamilton's worlds: energies, momenta, reference integrators, and what is seen of them."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate

import envs
from envs import motion
from envs.physics import hamiltonian, orbits
from scenes import factors as fa
from scenes.factors import tiers
from scenes.kit import errors

NAMES = ("springs", "pendulum", "double_pendulum", "two_body", "three_body")


def worlds(name, n=16, split="train", seed=0, sensors=("state",), **options):
    config = envs.module(name).Config(**{"max_steps": 10**6, "image_size": 16, "supersample": 2, **options})
    world = envs.make(name, config, n, split, seed, sensors)
    world.reset()
    return world


def run(world, steps):
    """States and energies over time, t b d and t b."""
    states, energies = [world.y.copy()], [world.energy()]
    for _ in range(steps):
        world.step(world.random())
        states.append(world.y.copy())
        energies.append(world.energy())
    return np.array(states), np.array(energies)


def newton(name, f, row):
    """Accelerations by Newton's or Lagrange's equations, and the mass matrix that makes momenta of velocities.

    Written for velocities, with none of the code that is tested.
    """
    m, c = f["mass"][row], f.get("gravity", f.get("stiffness"))[row]
    length = f["length"][row] if "length" in f else None
    friction = f["friction"][row]
    if name == "springs":
        return lambda q, v: -(c * q + friction * v) / m, lambda q: np.diag(m)
    if name == "pendulum":
        inertia = m * length**2
        return lambda q, v: -c / length * np.sin(q) - friction * v / inertia, lambda q: np.diag(inertia)
    if name == "double_pendulum":

        def matrix(q):
            cross = m[1] * length[0] * length[1] * np.cos(q[0] - q[1])
            return np.array([[m.sum() * length[0] ** 2, cross], [cross, m[1] * length[1] ** 2]])

        def acceleration(q, v):
            cross = m[1] * length[0] * length[1] * np.sin(q[0] - q[1])
            force = np.array([-cross * v[1] ** 2, cross * v[0] ** 2]) - friction * v
            force -= c * np.array([m.sum() * length[0], m[1] * length[1]]) * np.sin(q)
            return np.linalg.solve(matrix(q), force)

        return acceleration, matrix

    def attraction(q, v):
        at = q.reshape(-1, 2)
        away = at[None] - at[:, None]
        distance = np.linalg.norm(away, axis=-1) + np.eye(len(at))
        pull = (c * m[None, :, None] * away / distance[..., None] ** 3).sum(1)
        return pull.ravel() - friction * v / np.repeat(m, 2)

    return attraction, lambda q: np.diag(np.repeat(m, 2))


@pytest.mark.parametrize(("parameters", "friction"), [("fixed", False), ("drawn", True)])
@pytest.mark.parametrize("name", NAMES)
def test_motion_is_that_of_newton_s_equations(name, parameters, friction):
    """Against scipy's DOP853 on equations of another form, for as long as chaos lets two integrators agree."""
    world = worlds(name, 2, parameters=parameters, friction=friction)
    d, steps = world.y.shape[1] // 2, 40 if name in ("springs", "pendulum", "two_body") else 24
    states, _ = run(world, steps)
    times = np.arange(steps + 1) * world.config.time_step
    for row in range(2):
        acceleration, matrix = newton(name, world.factors(), row)
        q, p = states[0, row, :d], states[0, row, d:]
        v = np.linalg.solve(matrix(q), p)
        field = lambda t, y, a=acceleration: np.concatenate([y[d:], a(y[:d], y[d:])])
        begin = np.concatenate([q, v])
        found = integrate.solve_ivp(field, times[[0, -1]], begin, "DOP853", times, rtol=1e-12, atol=1e-12).y.T
        momenta = np.stack([matrix(one[:d]) @ one[d:] for one in found])
        np.testing.assert_allclose(states[:, row], np.concatenate([found[:, :d], momenta], 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", NAMES[:4])
def test_energy_is_kept_without_friction(name):
    _, energies = run(worlds(name, 16, parameters="drawn"), 1000)
    assert np.abs(energies / energies[0] - 1).max() < 1e-9


def test_energy_and_momenta_of_three_bodies_are_kept_through_their_encounters():
    world = worlds("three_body", 200)
    states, energies = run(world, 1000)
    assert np.abs(energies / energies[0] - 1).max() < 1e-6
    q, p = (part.reshape(1001, 200, 3, 2) for part in (states[..., :6], states[..., 6:]))
    closest = min(np.linalg.norm(q[:, :, i] - q[:, :, j], axis=-1).min() for i, j in ((0, 1), (0, 2), (1, 2)))
    assert closest < 0.01, "no encounter was close: the test says little"
    spin = (q[..., 0] * p[..., 1] - q[..., 1] * p[..., 0]).sum(-1)
    np.testing.assert_allclose(spin, np.broadcast_to(spin[0], spin.shape), atol=1e-7)
    np.testing.assert_allclose(p.sum(2), 0, atol=1e-8)
    np.testing.assert_allclose((q * world.factors()["mass"][..., None]).sum(2), 0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_friction_takes_energy_at_the_rate_of_its_formula(name):
    """H falls in every step, and by the integral of c |dH/dp|^2 over it (Simpson's rule)."""
    world = worlds(name, 8, friction=True, parameters="drawn", time_step=0.01)
    states, energies = run(world, 150)
    assert (np.diff(energies, axis=0) < 0).all()
    law, n, parameters = envs.module(name).SYSTEM.law, world.factors()["mass"].shape[1], world._parameters()
    rates = np.stack([(hamiltonian.velocities(law, n, parameters, y) ** 2).sum(1) for y in states])
    rates *= -world.factors()["friction"]
    spent = (rates[:-2:2] + 4 * rates[1:-1:2] + rates[2::2]) * 0.01 / 3
    np.testing.assert_allclose(np.diff(energies[::2], axis=0), spent, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_time_steps_add_up(name):
    """The same moments by steps of another size: the environment's step is no step of the integrator."""
    coarse, fine = (worlds(name, 4, time_step=step) for step in (0.25, 0.05))
    run(coarse, 8), run(fine, 40)
    np.testing.assert_allclose(coarse.y, fine.y, atol=1e-9)


def test_a_spring_and_small_swings_are_known_in_closed_form():
    world = worlds("springs", 8, parameters="drawn")
    f, y = world.factors(), world.y.copy()
    m, k = f["mass"][:, 0], f["stiffness"]
    t, w = 20 * 0.125, np.sqrt(k / m)
    run(world, 20)
    np.testing.assert_allclose(world.y[:, 0], y[:, 0] * np.cos(w * t) + y[:, 1] / (m * w) * np.sin(w * t), atol=1e-11)
    np.testing.assert_allclose(world.y[:, 1], y[:, 1] * np.cos(w * t) - y[:, 0] * m * w * np.sin(w * t), atol=1e-11)
    np.testing.assert_allclose(np.hypot(y[:, 0], y[:, 1] / np.sqrt(k * m)), f["radius"], rtol=1e-12)
    world = worlds("pendulum", 4)
    world.reset(factors={"radius": np.full(4, 1e-3), "phase": np.zeros(4)})
    run(world, 8)
    np.testing.assert_allclose(world.y[:, 0], 1e-3 * np.cos(np.sqrt(3.0)), atol=1e-9)


@pytest.mark.parametrize("n", [2, 3])
def test_circular_orbits_turn_as_a_whole(n):
    """For any masses: after one period every body is back, and distances never changed."""
    rng = np.random.default_rng(n)
    mass, gravity, radius = rng.uniform(0.5, 2, (5, n)), rng.uniform(0.5, 2, 5), rng.uniform(0.5, 1.5, 5)
    q, v = orbits.circular(mass, gravity, radius, rng.uniform(0, 6, 5), np.array([1, -1, 1, -1, 1]))
    turning = (q[..., 0] * v[..., 1] - q[..., 1] * v[..., 0]).sum(1)
    assert (np.sign(turning) == [1, -1, 1, -1, 1]).all()
    np.testing.assert_allclose((mass[..., None] * q).sum(1), 0, atol=1e-12)
    apart = np.linalg.norm(q[:, 0] - q[:, 1], axis=1)
    np.testing.assert_allclose(apart, 2 * radius * np.sin(np.pi / n), rtol=1e-12)
    parameters = np.concatenate([gravity[:, None], np.zeros((5, 1)), mass], 1)
    states = np.concatenate([orbits.rows(q), orbits.rows(v * mass[..., None])], 1)
    for row in range(5):
        period = 2 * np.pi * np.sqrt(apart[row] ** 3 / (gravity[row] * mass[row].sum()))
        state, one = states[row : row + 1].copy(), parameters[row : row + 1]
        for _ in range(8):
            assert hamiltonian.advance(hamiltonian.BODIES, n, one, state, period / 8).all()
            at = state[0, : 2 * n].reshape(n, 2)
            np.testing.assert_allclose(np.linalg.norm(at[0] - at[1]), apart[row], rtol=1e-6)
        np.testing.assert_allclose(state[0], states[row], atol=1e-6)


def test_bodies_that_meet_at_a_point_are_refused_and_left():
    """Two at rest fall straight into one another; those beside them wait where they are."""
    world = worlds("two_body", 2)
    world.y[1] = [0.5, 0, -0.5, 0, 0, 0, 0, 0]
    before = world.y.copy()
    with pytest.raises(errors.CaveError, match=r"two_body, world 1 \(seed 1.*met at a point"):
        for _ in range(40):
            before[:] = world.y
            world.step(world.random())
    assert np.isfinite(world.y).all() and np.array_equal(before, world.y)


@pytest.mark.parametrize("name", NAMES)
def test_state_is_the_truth_and_noise_is_only_seen(name):
    quiet, noisy = (worlds(name, 4, sensors=("image", "state"), noise=noise, image_size=64) for noise in (0.0, 0.1))
    for _ in range(3):
        a, b = quiet.observe(), noisy.observe()
        assert np.array_equal(a["state"], b["state"])
        d = quiet.y.shape[1]
        np.testing.assert_array_equal(a["state"][:, :d], quiet.y.astype(np.float32))
        np.testing.assert_array_equal(a["state"][:, d], quiet.energy().astype(np.float32))
        assert (a["image"] != b["image"]).any(axis=(1, 2, 3)).all()
        quiet.step(quiet.random()), noisy.step(noisy.random())
    apart = np.diff([noisy.observe()["image"].astype(int), quiet.observe()["image"].astype(int)], axis=0)
    assert 0.5 < np.abs(apart).mean() < 60


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", ["fixed", "drawn"])
@pytest.mark.parametrize("coloured", [False, True])
def test_every_condition_lies_outside_training(name, parameters, coloured):
    config = envs.module(name).Config(parameters=parameters, coloured=coloured, friction=coloured)
    splits = envs.module(name).splits(config)
    novel = [split for split in splits.values() if split.in_distribution_of is None and split.name != "train"]
    assert len(novel) >= 5 and {"new-energies", "new-masses", "new-friction", "new-colours"} <= set(splits)
    for split in novel:
        assert fa.overlap(split, splits["train"]) is None
        # A scene's own numbers decide how it moves; its start and its colours do not.
        tier = tiers.tier(None, splits["train"], split, (), envs.module(name).DYNAMICS).name
        assert tier == (tiers.DYNAMICS if set(split.novel) <= set(motion.DYNAMICS) else tiers.NEW_TO_BOTH)
        # It differs in what it names, and in nothing else.
        one, other = split.sample(0, np.arange(50)), splits["train"].sample(0, np.arange(50))
        for factor, values in one.items():
            of = "hue" if factor == "saturation" else factor
            if of in split.novel:
                continue
            assert values.min() >= other[factor].min() * 0.8 - 0.5 and values.max() <= other[factor].max() * 1.2 + 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", ["fixed", "drawn"])
def test_nothing_leaves_the_picture(name, parameters):
    """In 16 s; of three bodies, which fly apart some day, in the 30 steps of the paper."""
    many = 30 if name == "three_body" else 64
    config = envs.module(name).Config(
        parameters=parameters, time_step=0.125 if name == "three_body" else 0.25, max_steps=many
    )
    for split in envs.module(name).splits(config):
        world = envs.make(name, config, 32, split, 0, ("state",))
        world.reset()
        factors, reach = world.factors(), envs.module(name).extent(config) / 2
        for _ in range(many):
            at = envs.module(name).places(world.y[:, : world.y.shape[1] // 2].copy(), factors)
            assert (np.abs(at) + np.sqrt(factors["mass"] / np.pi)[..., None] <= reach).all(), split
            world.step(world.random())


def centre(picture, ground):
    """Row and column, from the picture's middle and upwards, of what is not ground."""
    there = (picture.astype(int) != ground).any(-1)
    rows, columns = np.nonzero(there)
    half = (np.array(there.shape) - 1) / 2
    return half[0] - rows.mean(), columns.mean() - half[1]


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("name", ["springs", "pendulum"])
def test_the_ball_is_drawn_where_it_is(name, coloured):
    world = worlds(name, 12, sensors=envs.SENSORS, coloured=coloured, image_size=64)
    seen, module = world.observe(), envs.module(name)
    at = module.places(world.y[:, :1].copy(), world.factors())[:, 0]
    per_metre = 64 / module.extent(world.config)
    ground = seen["image"][0, 0, 0].astype(int)
    assert ground.tolist() == ([82, 89, 94] if coloured else [0, 0, 0])
    for row in range(12):
        up, right = centre(seen["image"][row], ground)
        np.testing.assert_allclose([right, up], at[row] * per_metre, atol=0.6)
    area = (seen["ids"] == 0).sum((1, 2)) / per_metre**2
    np.testing.assert_allclose(area, world.factors()["mass"][:, 0], rtol=0.05)
    brightest = seen["image"].max((1, 2))
    assert (brightest == 255).all() if not coloured else (np.ptp(brightest.astype(int), axis=1) > 50).all()


def test_rods_reach_from_the_middle_to_the_balls():
    world = worlds("double_pendulum", 6, sensors=envs.SENSORS, rods=True, image_size=128)
    seen, module = world.observe(), envs.module("double_pendulum")
    at = module.places(world.y[:, :2].copy(), world.factors())
    per_metre = 128 / module.extent(world.config)
    for row in range(6):
        for point in (at[row, 0] / 4, (at[row, 0] * 2 + at[row, 1] * 3) / 5):
            column, line = (64 + point * per_metre * [1, -1]).astype(int)
            assert seen["ids"][row, line, column] >= 0
        assert (seen["image"][row] != 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_episodes_come_with_the_true_phase_space(name):
    config = dataclasses.replace(envs.module(name).Config.tiny(), parameters="drawn")
    stream = envs.stream(name, config, "Episodes", "train", 3, 4, size=(16, 16), length=12)
    batch = stream.draw(1)
    d = envs.module(name).SYSTEM.d
    assert batch["states"].shape == (4, 12, 2 * d + 1) and batch["states"].dtype == np.float32
    energies = batch["states"][..., -1]
    np.testing.assert_allclose(energies, np.broadcast_to(energies[:, :1], energies.shape), rtol=1e-5)
    assert (np.abs(np.diff(batch["states"][..., :d], axis=1)).max((1, 2)) > 1e-3).all()
    assert not batch["rewards"].any() and not batch["done"].any()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"radius": (2.0, 1.0)}, "springs: radius is"),
        ({"noise": -1.0}, "springs: noise is -1.0, wanted 0 to 10"),
        ({"time_step": 0.0}, "springs: time_step is 0.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(errors.CaveError, match=told):
        envs.module("springs").Config(**options)


@pytest.mark.parametrize(
    ("name", "factors", "told"),
    [
        ("two_body", {"mass": np.array([[1, 1], [-1, 1]])}, "two_body: factor mass must be a number from 0.001 to 100"),
        ("two_body", {"gravity": np.array([1, np.nan])}, "two_body: factor gravity of a world must be finite"),
        (
            "two_body",
            {"n_objects": np.array([1, 2])},
            "two_body: factor n_objects must be an integer from 2 to 2, not 1",
        ),
        (
            "two_body",
            {"sense": np.array([1, 0])},
            r"two_body, world 1 \(seed 1.*bodies that turn in no sense would meet",
        ),
        (
            "pendulum",
            {"length": np.array([[1], [5]])},
            r"pendulum, world 1 \(seed 1.*a ball would not fit into the picture",
        ),
        (
            "springs",
            {"mass": np.array([[0.5], [50]])},
            r"springs, world 1 \(seed 1.*a ball would not fit into the picture",
        ),
        ("springs", {"gravity": np.ones(2)}, "unknown factor of springs 'gravity'"),
    ],
)
def test_interventions_that_make_no_sense_are_refused_and_nothing_changes(name, factors, told):
    world = worlds(name, 2, sensors=("state", "image"))
    with pytest.raises(errors.CaveError, match=told):
        world.reset(factors=factors)
    world.reset()
    world.step(world.random())
    before, seen = world.state_dict(), world.observe()
    with pytest.raises(errors.CaveError, match=told) as caught:
        world.intervene(factors)
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(before[key], value) for key, value in world.state_dict().items())
    assert all(np.array_equal(seen[key], value) for key, value in world.observe().items())


@pytest.mark.parametrize("name", NAMES)
def test_what_says_how_an_episode_begins_is_refused_while_it_runs(name):
    world = worlds(name, 2)
    for factor in set(world.factors()) - {*motion.DYNAMICS, "n_objects", "hue", "saturation"}:
        other = world.factors()[factor]
        other[1] *= 2 if factor == "radius" else -1
        with pytest.raises(errors.CaveError, match=f"{factor} says how an episode begins.*give it to reset"):
            world.intervene({factor: other})


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_law_holds_from_now_on_for_the_worlds_that_are_meant(name):
    """The rest of the episode is that of a world with the other law from the state in which the change found it."""
    world, left = (worlds(name, 3, sensors=envs.SENSORS, parameters="drawn") for _ in range(2))
    run(world, 5), run(left, 5)
    constant, found = envs.module(name).SYSTEM.constant, world.y.copy()
    factors = {constant: world.factors()[constant] * 1.5, "mass": world.factors()["mass"] * 0.5}
    factors |= {"friction": np.full(3, 0.02), "saturation": np.full_like(factors["mass"], 0.85)}
    before, energy = world.observe(), world.energy()
    world.intervene(factors, np.array([True, True, False]))
    seen = world.observe()
    assert np.array_equal(world.y, found) and (world.energy()[:2] != energy[:2]).all()
    np.testing.assert_array_equal(seen["state"][:, -1], world.energy().astype(np.float32))
    changed = (seen["image"] != before["image"]).any((1, 2, 3))
    assert changed.tolist() == [True, True, False] and (np.ptp(seen["image"][0].astype(int), axis=-1) > 50).any()
    system, parameters = envs.module(name).SYSTEM, left._parameters()
    k = factors["mass"].shape[1]
    parameters[:2, 0], parameters[:2, 1], parameters[:2, 2 : 2 + k] = factors[constant][:2], 0.02, factors["mass"][:2]
    state, kept = world.state_dict(), found.copy()
    run(world, 5)
    for _ in range(5):
        assert hamiltonian.advance(system.law, system.n, parameters, kept, world.config.time_step).all()
    np.testing.assert_array_equal(world.y, kept)
    again = worlds(name, 3, seed=50, sensors=envs.SENSORS, parameters="drawn")
    again.load_state_dict(state)
    assert all(np.array_equal(again.observe()[sensor], seen[sensor]) for sensor in envs.SENSORS)
    world.reset()
    assert (world.factors()["friction"] == 0).all() and (world.factors()["saturation"] == 0).all()
