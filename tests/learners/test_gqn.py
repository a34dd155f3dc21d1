"""The mathematics of GQN: what its sum, its prior and its queries promise."""

import dataclasses
import itertools
import math
import types

import numpy as np
import pytest
import torch

import envs
import scenes
from envs import rooms
from learners import gqn
from learners.nets import draw, images, rays, sweep

SPEC = types.SimpleNamespace(fov=1.0, extent=7.0)


def config(**changes):
    return dataclasses.replace(gqn.Config.tiny(), **changes)


SUM = dict(read="sum", representation_dim=16, image_size=16)


def views(b=3, v=5, size=16, seed=0):
    g = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 255, (b, v, size, size, 3), dtype=torch.uint8, generator=g)
    return image, torch.rand(b, v, 5, generator=g) * 2 - 1


def learner(**changes):
    torch.manual_seed(0)
    made = gqn.Learner(config(**changes), SPEC).eval()
    # The prior starts as a unit Gaussian whatever it sees; a test of what it sees needs it to depend on it.
    for layer in (made.core.prior, made.core.posterior):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return made


@pytest.mark.parametrize("changes", [{}, SUM, SUM | {"representation": "pool"}, SUM | {"representation": "pyramid"}])
@torch.no_grad()
def test_imagination_and_code_do_not_depend_on_the_order_of_the_views(changes):
    made = learner(**changes)
    image, poses = views()
    order = torch.tensor([2, 0, 1])
    query = poses[:, 4:5]
    generator = lambda: torch.Generator().manual_seed(1)
    one = made.imagine(image[:, :3], poses[:, :3], query, generator())
    other = made.imagine(image[:, order], poses[:, order], query, generator())
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    changed = made.imagine(image[:, 1:4], poses[:, 1:4], query, generator())
    assert (one - changed).abs().max() > 1e-4  # and they do depend on the views themselves
    code = lambda order: made.reader.code(made.look(images.to_float(image[:, order]), poses[:, order])).sum(1)
    torch.testing.assert_close(code([0, 1, 2]), code([2, 0, 1]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_sum_over_views_is_a_sum():
    made = learner(**SUM)
    image, poses = views()
    together = made.look(images.to_float(image), poses)
    one = lambda i: made.look(images.to_float(image[:, i : i + 1]), poses[:, i : i + 1])[:, 0]
    alone = torch.stack([one(i) for i in range(5)], 1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    read = made.reader.read(together, images.to_float(image), poses, poses[:, :1]).condition[:, :16]
    torch.testing.assert_close(read, alone.sum(1), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_query_image_reaches_the_posterior_alone():
    made = learner()
    image, poses = views(b=2, v=made.n_views)
    generator = lambda: torch.Generator().manual_seed(3)
    other = image.clone()
    other[:, made.config.max_context :] = 255 - other[:, made.config.max_context :]
    batch = {"images": image, "poses": poses}
    changed = {"images": other, "poses": poses}
    a, b = (next(iter(made.evaluate(iter([x]), generator(), False).items())) for x in (batch, changed))
    assert a != b  # the truth moved, so figures do
    n = made.config.max_context
    one, two = (made.imagine(x["images"][:, :n], poses[:, :n], poses[:, n:], generator()) for x in (batch, changed))
    assert torch.equal(one, two)
    views_ = made.look(images.to_float(image[:, :n]), poses[:, :n])
    reading = made.reader.read(views_, images.to_float(image[:, :n]), poses[:, :n], poses[:, n : n + 1])
    seen = [made.paint(reading, images.to_float(x[:, n]), generator())[0] for x in (image, other)]
    assert (seen[0] - seen[1]).abs().max() > 1e-6


def test_no_gradient_reaches_the_context_from_the_query():
    """The loss depends on context images 1 to M only, and M takes every value from 1 to `max_context`."""
    made = learner()
    image, poses = views(b=2, v=made.n_views)
    n = made.config.max_context
    counts = set()
    for step in range(40):
        reached = []
        original = made.look
        made.look = lambda x, p: reached.append(x.shape[1]) or original(x, p)  # noqa: B023
        with torch.no_grad():
            made.loss({"images": image, "poses": poses}, 0, torch.Generator().manual_seed(step))
        made.look = original
        counts.add(reached[0])
    assert counts == set(range(1, n + 1))


def test_kl_is_that_of_torch_and_zero_for_equal_distributions():
    g = torch.Generator().manual_seed(0)
    m1, s1, m2, s2 = torch.randn(4, 50, generator=g)
    ours = draw.gaussian_kl(m1, s1, m2, s2)
    normal = lambda m, s: torch.distributions.Normal(m, draw.bounded(s).exp())
    theirs = torch.distributions.kl_divergence(normal(m1, s1), normal(m2, s2))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert draw.gaussian_kl(m1, s1, m1, s1).abs().max() < 1e-6
    ours = draw.unit_gaussian_kl(m1, s1)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(m1, (0.5 * s1).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_likelihood_leaves_out_its_constant_and_nothing_else():
    g = torch.Generator().manual_seed(0)
    image, mean = torch.rand(2, 4, 3, 8, 8, generator=g)
    full = torch.distributions.Normal(mean, 0.7).log_prob(image).flatten(1).sum(1)
    constant = torch.distributions.Normal(mean, 0.7).log_prob(mean).flatten(1).sum(1)
    torch.testing.assert_close(draw.log_likelihood(image, mean, 0.7), full - constant, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_before_training_prior_and_posterior_agree():
    torch.manual_seed(0)
    made = gqn.Learner(config(), SPEC)
    reading = gqn.Reading(torch.randn(2, made.reader.condition, 4, 4))
    _, kl = made.paint(reading, torch.rand(2, 3, 16, 16), torch.Generator().manual_seed(0))
    assert kl.abs().max() < 1e-6


def test_sigma_falls_to_its_end_and_stays():
    made = gqn.Learner(config(sigma_start=2.0, sigma_end=0.7, sigma_anneal=0.5, steps=100), SPEC)
    assert made.sigma(0) == 2.0
    assert made.sigma(25) == pytest.approx(1.35)
    assert made.sigma(50) == made.sigma(99) == pytest.approx(0.7)


def test_rays_pass_through_the_points_that_pixels_show():
    """Project points by hand and find the ray of the pixel they fall on."""
    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(-2, 2, (5, 3)), rng.uniform(-3, 3, (5, 1)), rng.uniform(-0.5, 0.5, (5, 1))], 1)
    origin, direction = rays.ray_grid(torch.tensor(poses), 1.1, 16, 24)
    camera = scenes.rotation_matrices(scenes.look(poses[:, 3], poses[:, 4]).astype(np.float64))
    for view, row, column in [(0, 0, 0), (1, 15, 23), (2, 7, 3), (4, 2, 20)]:
        point = origin[view] + 2.5 * direction[view, row, column]
        x, y, z = camera[view].T @ (point.numpy() - poses[view, :3])
        focal = 8 / np.tan(1.1 / 2)
        assert 12 + focal * x / -z == pytest.approx(column + 0.5, abs=1e-3)
        assert 8 - focal * y / -z == pytest.approx(row + 0.5, abs=1e-3)


def test_the_encoder_sums_the_last_views_and_forgets_where_told():
    torch.manual_seed(0)
    made = gqn.Learner(config(), SPEC)
    encoder = made.encoder().eval()
    image, poses = views(b=3, v=5)
    with torch.no_grad():
        state = encoder.initial(3)
        for t in range(5):
            code, state = encoder({"image": image[:, t], "pose": poses[:, t]}, state)
        terms = made.reader.code(made.look(images.to_float(image[:, 2:]), poses[:, 2:]))
        mine, memory = code.split([code.shape[1] - terms[0, 0].numel(), terms[0, 0].numel()], 1)
        torch.testing.assert_close(memory, terms.sum(1).flatten(1), atol=1e-5, rtol=1e-5)
        newest, _ = encoder({"image": image[:, 4], "pose": poses[:, 4]}, encoder.initial(3))
        torch.testing.assert_close(mine, newest[:, : mine.shape[1]], atol=1e-5, rtol=1e-5)
        kept = encoder.reset(state, torch.tensor([False, True, False]))
        fresh = encoder.initial(3)
        for name in state:
            assert torch.equal(kept[name][1], fresh[name][1])
            assert torch.equal(kept[name][[0, 2]], state[name][[0, 2]])


@torch.no_grad()
@pytest.mark.parametrize("read", ["sum", "attention"])
def test_baselines_are_reported_whoever_reads_and_cameras_and_walls_beat_the_nearest_view(read):
    changes = SUM if read == "sum" else {"image_size": 32}
    stream = envs.stream("rooms", rooms.Config(cameras="ring"), "Views", "test", 0, 32, (changes["image_size"],) * 2, 5)
    made = gqn.Learner(config(**changes), stream.spec).eval()
    batch = {name: torch.from_numpy(value) for name, value in stream.draw(0).items() if isinstance(value, np.ndarray)}
    figures = made.evaluate(iter([batch]), torch.Generator().manual_seed(0), True)
    for n in range(1, made.config.max_context + 1):
        assert {f"baseline/{name}/{n}" for name in ("nearest", "context_mean", "sweep")} <= figures.keys()
    assert figures["baseline/sweep/3"] > figures["baseline/nearest/3"] + 1
    assert figures["baseline/sweep/3"] > figures["baseline/sweep/1"] > figures["baseline/mean_image"]


def test_one_head_alone_has_no_inclination():
    made = gqn.Learner(config(heads=1), SPEC)
    _, poses = views(b=2)
    assert made.reader.sightings(poses[:, :3], poses[:, 3:]).abs().max() == 0


def test_steps_of_the_core_share_nothing_but_prior_and_posterior_unless_asked_to():
    apart, shared = (gqn.Learner(config(shared_core=flag, n_layers=3), SPEC).core for flag in (False, True))
    for name in ("look", "recall", "infer", "generate", "paint"):
        assert (len(getattr(apart, name)), len(getattr(shared, name))) == (3, 1)


@torch.no_grad()
def test_the_nearest_view_is_the_nearest():
    context = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(2, 3, 3, 4, 4)
    poses = torch.tensor([[[0.0, 0, 1, 0, 0], [3, 0, 1, 0, 0], [0, 3, 1, 0, 0]]]).repeat(2, 1, 1)
    query = torch.tensor([[2.5, 0.2, 1, 0, 0], [0.1, 2.0, 1, 0, 0]])
    assert gqn.nearest(context, poses, query)[:, 0, 0, 0].tolist() == [1.0, 2.0]


def test_psnr_is_averaged_per_image_and_clamps():
    truth = torch.zeros(2, 3, 4, 4)
    guess = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), -5.0)])
    assert images.psnr(guess, truth).tolist() == pytest.approx([20.0, 100.0], abs=1e-4)


@torch.no_grad()
def test_a_head_is_inclined_to_look_where_its_point_appears():
    """A slow, obvious projection: the patch of each context view in which a point on the query's ray falls."""
    made = gqn.Learner(config(image_size=32), types.SimpleNamespace(fov=1.0, extent=7.0))
    g = torch.Generator().manual_seed(0)
    angle = torch.rand(2, 4, generator=g) * 6.28
    poses = torch.stack(
        [3 * angle.cos(), 3 * angle.sin(), torch.ones(2, 4), angle + 3.14159, torch.full((2, 4), -0.2)], -1
    )
    query, context = poses[:, :1], poses[:, 1:]
    bias = made.reader.sightings(context, query)
    grid = made.reader.grid
    assert bias.shape == (2, config().heads, grid**2, 3 * grid**2)
    assert bias.max() <= 0 and (bias[:, -1] == 0).all()
    origin, direction = rays.ray_grid(query, 1.0, grid, grid)
    reach = rays.leaving(origin, direction, 7.0)
    checked = 0
    for patch in range(grid**2):
        row, column = divmod(patch, grid)
        point = origin[0, 0] + reach[0, 0, row, column] * direction[0, 0, row, column]
        for view in range(3):
            _, seen = rays.ray_grid(context[0, view], 1.0, grid, grid)
            gaze = torch.nn.functional.normalize(point - context[0, view, :3], dim=0)
            cosine = (seen @ gaze).flatten()
            if cosine.max() > 0.99:
                mine = bias[0, 0, patch, view * grid**2 : (view + 1) * grid**2]
                assert mine.argmax() == cosine.argmax()
                checked += 1
    assert checked > 20


@torch.no_grad()
def test_rays_leave_the_world_on_its_floor_or_walls():
    g = torch.Generator().manual_seed(0)
    poses = torch.rand(50, 5, generator=g) * torch.tensor([4.0, 4, 1, 6, 0.8]) - torch.tensor([2.0, 2, -0.5, 3, 0.4])
    origin, direction = rays.ray_grid(poses, 1.0, 4, 4)
    reach = rays.leaving(origin, direction, 7.0)
    end = origin[:, None, None] + reach[..., None] * direction
    on_floor, on_wall = end[..., 2].abs() < 1e-3, (end[..., :2].abs().amax(-1) - 3.5).abs() < 1e-3
    assert (on_floor | on_wall).all() and on_floor.any() and on_wall.any()
    assert (end[..., 2] > -1e-3).all() and (end[..., :2].abs() < 3.501).all()


def test_ray_features_are_what_they_say():
    """The same features written out, sine by sine."""
    poses = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0, 0.5, 0, -0.6])
    origin, direction = rays.ray_grid(poses, 1.0, 4, 4)
    o = origin[:, None, None].expand_as(direction)
    far = rays.leaving(origin, direction, 7.0)[..., None]
    plain = torch.cat([2 * o / 7, direction, 2 * torch.linalg.cross(o, direction) / 7, far / 7], -1)

    def waves(values, octaves, period):
        phases = [v * 2 * torch.pi / period * 2**k for v in values.unbind(-1) for k in range(octaves)]
        return [p.sin() for p in phases] + [p.cos() for p in phases]

    wanted = waves(plain, 3, 4.0)
    for share in (0.25, 0.4, 0.55, 0.7, 0.85):
        wanted += waves(o + share * far * direction, 4, 14.0)
    wanted += waves(o + far * direction, 7, 14.0)
    features = rays.ray_features(origin, direction, 7.0)
    assert features.shape[-1] == rays.N_RAY_FEATURES
    torch.testing.assert_close(features, torch.stack(wanted, -1), atol=2e-4, rtol=0)


def by_depth(swept):
    return swept.permute(0, 3, 4, 1, 2)


def test_a_sweep_finds_the_walls_and_floor_of_real_rooms():
    """At the end of the way stand walls and floor: what other views show there is what the query sees, and halfway not."""
    stream = envs.stream("rooms", rooms.Config(cameras="ring"), "Views", "train", 0, 8, (32, 32), 7)
    batch = {name: torch.from_numpy(value) for name, value in stream.draw(0).items()}
    image, poses = images.to_float(batch["images"]), batch["poses"]
    shares = torch.tensor([1.0, 0.5])
    made = by_depth(
        sweep.sweep(image[:, :6], poses[:, :6], poses[:, 6:], shares, 32, stream.spec.fov, stream.spec.extent)
    )
    truth = image[:, 6] - 0.5
    # The sky lies on no wall, so it is left out: what leaves the room by its open top.
    origins, directions = rays.ray_grid(poses[:, 6], stream.spec.fov, 32, 32)
    reach = rays.leaving(origins, directions, stream.spec.extent)
    low = origins[:, None, None, 2] + reach * directions[..., 2] < 1.0
    seen = low & (made[:, 0, 7] > 0) & (made[:, 1, 7] > 0)
    off = (made[:, :, :3] - truth[:, None]).abs().mean(2)
    assert seen.float().mean() > 0.2
    assert off[:, 0][seen].median() < 0.05 < off[:, 1][seen].median()


def test_a_sweep_agrees_with_a_slow_one():
    """Point by point: projected with a rotation matrix, looked up in the nearest pixel of a smooth picture."""
    ramp = torch.linspace(0, 1, 33)
    image = torch.stack([ramp.expand(33, 33), ramp[:, None].expand(33, 33), torch.zeros(33, 33)])[None, None]
    image = torch.cat([image, 0.5 * image], 1)
    poses = torch.tensor([[[0.5, -1.0, 1.1, 2.0, -0.2], [-1.0, 0.3, 1.4, -0.4, -0.3]]])
    queries = torch.tensor([[[1.5, 1.5, 1.2, -2.4, -0.2]]])
    shares = torch.tensor([0.8, 0.4])
    made = by_depth(sweep.sweep(image, poses, queries, shares, 6, 1.0, 7.0))[0]
    origins, directions = rays.ray_grid(queries[0], 1.0, 6, 6)
    reach = rays.leaving(origins, directions, 7.0)[0]
    compared = 0
    for s, row, column in itertools.product(range(2), range(6), range(6)):
        point = origins[0] + shares[s] * reach[row, column] * directions[0, row, column]
        colours = []
        for view in range(2):
            yaw, pitch = poses[0, view, 3:].double().numpy()
            camera = scenes.rotation_matrices(scenes.look(np.array([yaw]), np.array([pitch])))[0]
            x, y, z = camera.T @ (point - poses[0, view, :3]).double().numpy()
            u, v = x / -z / np.tan(0.5), -y / -z / np.tan(0.5)
            if z < 0 and max(abs(u), abs(v)) < 0.95:
                # Pixel centres of a picture of 33 stand at (i + 1/2) / 33, so the ramp reads so.
                at = lambda w: (((w + 1) / 2) * 33 - 0.5) / 32
                colours.append(np.array([at(u), at(v), 0.0]) * (1.0, 0.5)[view] - 0.5)
            elif z < 0 and max(abs(u), abs(v)) < 1.05:
                break
        else:
            compared += bool(colours)
            assert made[s, 7, row, column] == pytest.approx(len(colours) / 2)
            if len(colours) == 1:
                for part in (made[s, :3, row, column], made[s, 3:6, row, column]):
                    np.testing.assert_allclose(part, colours[0], atol=2e-3)
                assert made[s, 6, row, column] < 1e-2
            elif colours:
                wanted = np.sqrt(np.var(colours, axis=0).sum())
                assert made[s, 6, row, column] == pytest.approx(wanted, abs=5e-3)
            else:
                assert made[s, :7, row, column].abs().max() == 0
    assert compared > 20


def test_weights_of_a_sweep_prefer_the_query_s_side():
    """Two cameras across the room from each other see one place in two colours; the query stands by the first."""
    poses = torch.tensor([[[2.0, 0.0, 1.0, torch.pi, -0.3], [-2.0, 0.0, 1.0, 0.0, -0.3]]])
    image = torch.zeros(1, 2, 3, 8, 8)
    image[0, 0, 0], image[0, 1, 2] = 1, 1
    query = torch.tensor([[[2.2, 0.1, 1.0, torch.pi, -0.3]]])
    made = by_depth(sweep.sweep(image, poses, query, torch.tensor([0.5]), 4, 1.0, 7.0))[0, 0]
    both = made[7] == 1
    made = made + 0.5
    assert both.any()
    assert (made[0] > 0.95)[both].all() and (made[2] < 0.05)[both].all()  # near
    assert (made[3] > made[5])[both].all()  # wide, too, but less
    assert (made[5] > 1e-5)[both].any()


def test_each_pixel_of_a_sweep_may_look_at_depths_of_its_own():
    image, poses = views(b=2)
    given = images.to_float(image)[:, :2], poses[:, :2], poses[:, 2:4]
    shares = torch.tensor([0.9, 0.5, 0.3])
    whole = sweep.sweep(*given, shares, 8, 1.0, 7.0)
    rows = torch.arange(8) % 3
    own = shares[rows][None, :, None, None].expand(4, 8, 8, 1)
    made = sweep.sweep(*given, own, 8, 1.0, 7.0)
    for row, depth in enumerate(rows.tolist()):
        torch.testing.assert_close(made[:, row, :, 0], whole[:, row, :, depth])
    assert not torch.allclose(whole[:, :, :, 0], whole[:, :, :, 1])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("own", [False, True])
def test_a_sweep_in_loops_agrees_with_one_in_tensors(own, threads):
    """The loops serve CPUs, the tensors every other device."""
    torch.manual_seed(1)
    image, poses = views(b=3, v=6)
    image = images.to_float(image)
    shares = torch.rand(6, 9, 9, 4) if own else torch.tensor([1.0, 0.7, 0.2])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        made = sweep.sweep(image[:, :4], poses[:, :4], poses[:, 4:], shares, 9, 1.0, 7.0)
    finally:
        torch.set_num_threads(before)
    origins, directions = rays.ray_grid(poses[:, 4:], 1.0, 9, 9)
    reach = rays.leaving(origins, directions, 7.0)[..., None] * directions
    shares = shares if own else shares.expand(1, 1, 1, -1)
    wanted = sweep.look_up(image[:, :4], poses[:, :4], origins, reach, shares, math.tan(0.5))
    off = (made - wanted).abs().amax(-1)  # on the edge of a picture rounding decides whether a point is in it
    assert off.quantile(0.99) < 1e-3 and off.median() < 1e-5
    assert (made[..., 7] > 0).float().mean() > 0.1


def test_the_closer_look_is_around_what_the_first_found():
    woven = sweep.Weave(depths=9, fine=6, coarse=2, patch=4, condition=8, canvas=4, width=8)
    weights = torch.full((1, 2, 2, 9, 2), 1e-3)
    weights[0, 0, 0, 3], weights[0, 0, 0, 7] = 0.3, 0.2  # a peak, and another
    weights[0, 1, 1, 0] = 0.5  # as far as can be
    at = woven.likely(weights.flatten(-2))
    assert at.shape == (1, 4, 4, 6)
    step = 0.1
    first, second = 1.0 - 3 * step, 1.0 - 7 * step
    for row, column in itertools.product(range(2), range(2)):
        here = at[0, row, column]
        assert (here[:4] - first).abs().max() < step and here[:4].mean() == pytest.approx(first, abs=0.01)
        assert (here[4:] - second).abs().max() < step and here[4:].mean() == pytest.approx(second, abs=0.01)
    assert at[0, 2:, 2:, :4].max() == 1.0


def test_a_room_that_was_not_learned_is_first_guessed_to_be_empty():
    """Before any training a query shows what the cameras and walls alone tell, and not grey."""
    made = learner(depths=8, sigma_end=0.7)
    stream = envs.stream("rooms", rooms.Config(cameras="ring"), "Views", "train", 0, 16, (16, 16), 6)
    batch = {name: torch.from_numpy(value) for name, value in stream.draw(0).items()}
    truth = images.to_float(batch["images"][:, 5])
    seen = made.imagine(batch["images"][:, :5], batch["poses"][:, :5], batch["poses"][:, 5:], torch.Generator())[
        0, :, 0
    ]
    assert images.psnr(seen, truth).mean() > images.psnr(torch.full_like(truth, 0.5), truth).mean() + 2


@torch.no_grad()
@pytest.mark.parametrize("representation", ["tower", "pyramid", "pool"])
def test_a_sum_begins_neither_faint_nor_loud(representation):
    made = learner(**SUM, representation=representation)
    image, poses = views(b=16)
    apart = made.look(images.to_float(image), poses).sum(1).std(0).mean()
    assert 0.05 < apart < 10


def test_emphasis_weighs_what_walls_and_floor_do_not_explain():
    sizes = config(depths=3)
    stream = envs.stream("rooms", None, "Views", "train", 0, 4, (16, 16), sizes.max_context + sizes.n_queries)
    batch = {name: torch.as_tensor(value) for name, value in stream.draw(0).items() if name in ("images", "poses")}
    torch.manual_seed(0)
    plain = gqn.Learner(sizes, stream.spec)
    losses = {}
    for emphasis in (0.0, 2.0, 4.0):
        learner = gqn.Learner(dataclasses.replace(sizes, emphasis=emphasis), stream.spec)
        learner.load_state_dict(plain.state_dict())
        losses[emphasis] = learner.loss(batch, 0, torch.Generator().manual_seed(0))[0].item()
    assert losses[2.0] > losses[0.0]
    assert losses[4.0] - losses[0.0] == pytest.approx(2 * (losses[2.0] - losses[0.0]), rel=1e-4)
    # A query that shows what the unlearned sweep does is not weighed: then only the likelihood counts.
    image, poses = images.to_float(batch["images"]), batch["poses"]
    n = int(torch.randint(1, sizes.max_context + 1, (), generator=torch.Generator().manual_seed(0)))
    queries = poses[:, sizes.max_context : sizes.max_context + sizes.n_queries]
    walls = (plain.swept(image[:, :n], poses[:, :n], queries)[:, :3] + 0.5).clamp(0, 1)
    batch["images"] = batch["images"].clone()
    batch["images"][:, sizes.max_context :] = images.to_bytes(walls).unflatten(0, (4, sizes.n_queries))
    learner = gqn.Learner(dataclasses.replace(sizes, emphasis=4.0), stream.spec)
    learner.load_state_dict(plain.state_dict())
    with_it, without = (x.loss(batch, 0, torch.Generator().manual_seed(0))[0].item() for x in (learner, plain))
    assert with_it - without < 0.02 * (losses[4.0] - losses[0.0])
