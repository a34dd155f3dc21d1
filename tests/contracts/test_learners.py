"""The promises of `learners`, kept by every learner that is found."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import envs
import learners
from learners.nets import codes
from learners.training import loop
from scenes.kit import errors, options, plugins, runs

NAMES = plugins.names("learners")


def stream(name, split="train", batch_size=8, seed=0):
    module = learners.learner(name)
    config = module.Config.tiny()
    size = (config.image_size, config.image_size)
    return envs.stream(
        "rooms", None, module.Learner.batch, split=split, seed=seed, batch_size=batch_size, size=size,
        views=loop.views_of(config),
    )  # fmt: skip


def made(name, seed=0):
    module = learners.learner(name)
    torch.manual_seed(seed)
    return module.Learner(module.Config.tiny(), stream(name).spec)


def tensors(name, step=0, **more):
    return loop.to_tensors(stream(name, **more).draw(step), "cpu")


def observations(encoder, b=5, t=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 255, (b, t, *encoder.image_size, 3), dtype=torch.uint8, generator=g)
    pose = torch.rand(b, t, 5, generator=g) * 2 - 1
    return {name: value for name, value in (("image", image), ("pose", pose)) if name in encoder.sensors}


def follow(encoder, seen):
    b, t = next(iter(seen.values())).shape[:2]
    state, out = encoder.initial(b), []
    with torch.no_grad():
        for i in range(t):
            code, state = encoder({name: value[:, i] for name, value in seen.items()}, state)
            out.append(code)
    return torch.stack(out, 1), state


@pytest.mark.parametrize("name", NAMES)
def test_a_module_has_what_the_contract_names(name):
    module = learners.learner(name)
    for config in (module.Config(), module.Config.small(), module.Config.tiny()):
        assert dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen
        assert options.from_dict(module.Config, json.loads(json.dumps(options.to_dict(config)))) == config
    assert module.Learner.batch in ("Images", "Views", "Episodes", "Geometry")
    assert f"python -m learners.train {name}" in module.__doc__
    assert "Differs from the paper" in module.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_it_overfits_one_batch(name):
    learner, batch = made(name), tensors(name, batch_size=4)
    config = dataclasses.replace(learner.config, steps=10**6, learning_rate=3e-3, warmup=0.0, clip=0.0)
    adams = loop.optimisers(learner, config)
    value = lambda: learner.loss(batch, 10**6, torch.Generator().manual_seed(1))[0].item()
    before = value()
    for step in range(250):
        loop.descend(learner, adams, batch, config, step, 0, lambda: loop.autocast("cpu", "float32"))
    assert value() < 0.4 * before


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_a_function_of_its_generator(name):
    learner, batch = made(name).eval(), tensors(name)
    with torch.no_grad():
        one, two, other = (learner.loss(batch, 3, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2))
    assert one == two and torch.isfinite(one)
    assert one != other
    state = torch.random.get_rng_state()
    learner.loss(batch, 3, torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.random.get_rng_state())  # the global generator was left alone


@pytest.mark.parametrize("name", NAMES)
def test_codes_have_their_shape_and_repeat_themselves(name):
    encoder = learners.freeze(made(name).encoder())
    seen = observations(encoder)
    one, _ = follow(encoder, seen)
    two, _ = follow(encoder, seen)
    assert one.shape == (5, 4, *encoder.shape) and one.dtype == torch.float32
    assert torch.equal(one, two)
    assert one.std(0).max() > 0  # it does look


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_rows(name):
    encoder = learners.freeze(made(name).encoder())
    seen = observations(encoder)
    whole, _ = follow(encoder, seen)
    for row in range(5):
        alone, _ = follow(encoder, {key: value[row : row + 1] for key, value in seen.items()})
        torch.testing.assert_close(whole[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_the_masked_worlds_and_no_other(name):
    encoder = learners.freeze(made(name).encoder())
    seen = observations(encoder, t=5)
    first = {key: value[:, :3] for key, value in seen.items()}
    mask = torch.tensor([True, False, False, True, False])
    _, state = follow(encoder, first)
    state = encoder.reset(state, mask)
    last = {key: value[:, 3] for key, value in seen.items()}
    with torch.no_grad():
        code, _ = encoder(last, state)
        fresh, _ = encoder(last, encoder.initial(5))
        kept = follow(encoder, {key: value[:, :4] for key, value in seen.items()})[0][:, -1]
    torch.testing.assert_close(code[mask], fresh[mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(code[~mask], kept[~mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_use_moves_nothing(name):
    encoder = learners.freeze(made(name).encoder())
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    follow(encoder, observations(encoder))
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_calibrated_codes_have_unit_scale(name):
    encoder = made(name).encoder()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.5)  # away from the initial scale, whatever it is
    batches = [loop.as_observations(tensors(name, step=i, batch_size=32)) for i in range(3)]
    codes.calibrate(encoder, batches)
    learners.freeze(encoder)
    seen = torch.cat([follow(encoder, batch)[0].flatten(0, 1) for batch in batches])
    scale = seen.std(0).flatten()
    assert seen.mean(0).abs().max() < 0.2
    assert ((scale > 0.8) & (scale < 1.2)).float().mean() > 0.5
    assert seen.abs().max() <= codes.LIMIT


def test_codes_of_any_scale_are_brought_to_one():
    class Loud(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.standardise = codes.Standardise((3,))

        def initial(self, b):
            return {}

        def forward(self, obs, state):
            return self.standardise(obs["image"]), state

    encoder, image = Loud(), torch.randn(64, 4, 3, generator=torch.Generator().manual_seed(0))
    image = image * torch.tensor([1e-2, 1.0, 300.0]) + torch.tensor([0.0, 50.0, -1e4])
    codes.calibrate(encoder, [{"image": image}])
    seen = encoder({"image": image.flatten(0, 1)}, {})[0]
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[:, 1:].std(0), torch.ones(2), atol=1e-3, rtol=0)
    assert encoder({"image": 1e9 * torch.ones(1, 3)}, {})[0].max() == codes.LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_comes_back_from_its_folder(name, tmp_path):
    learner = made(name)
    encoder = learners.freeze(learner.encoder())
    spec = options.to_dict(stream(name).spec)
    card = {"learner": name, "config": options.to_dict(learner.config), "spec": spec}
    learners.save_encoder(tmp_path / "encoder", encoder, card)
    for where in (tmp_path, tmp_path / "encoder"):
        again, read = learners.load_encoder(where)
        assert read["learner"] == name
        seen = observations(encoder)
        assert torch.equal(follow(encoder, seen)[0], follow(again, seen)[0])
    names = sorted(path.name for path in (tmp_path / "encoder").iterdir())
    assert names == ["MANIFEST.json", "card.json", "encoder.safetensors"]

    path = tmp_path / "encoder" / "encoder.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(errors.CaveError, match="encoder.safetensors is damaged"):
        learners.load_encoder(tmp_path)
    path.unlink()
    with pytest.raises(errors.CaveError, match="encoder.safetensors is missing"):
        learners.load_encoder(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_halves_the_file_and_hardly_moves_the_code(name, tmp_path):
    encoder = learners.freeze(made(name).encoder())
    card = {
        "learner": name,
        "config": options.to_dict(encoder.learner.config),
        "spec": options.to_dict(stream(name).spec),
    }
    for half in (False, True):
        learners.save_encoder(tmp_path / str(half), encoder, card, half)
    size = {half: (tmp_path / str(half) / "encoder.safetensors").stat().st_size for half in (False, True)}
    assert size[True] < 0.65 * size[False]
    again, _ = learners.load_encoder(tmp_path / "True")
    seen = observations(encoder)
    torch.testing.assert_close(follow(again, seen)[0], follow(encoder, seen)[0], atol=2e-2, rtol=2e-2)


SHIPPED = sorted(path.parent.name for path in learners.SHIPPED.glob("*/card.json"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_encoder_loads_by_its_name_and_imagines_held_out_rooms(name):
    """Sixteen rooms are enough to tell it from the nearest of the views that it was given."""
    encoder, card = learners.load_encoder(name)
    assert sum(path.stat().st_size for path in (learners.SHIPPED / name).iterdir()) < 8 << 20
    learner, c = encoder.learner, encoder.learner.config
    test = envs.stream(
        card["env"], None, "Views", split="test", seed=12345, batch_size=16, size=encoder.image_size,
        views=c.max_context + 1,
    )  # fmt: skip
    batch = loop.to_tensors(test.draw(0), "cpu")
    figures = learner.evaluate(iter([batch]), torch.Generator().manual_seed(0), False)
    assert figures[f"psnr/{c.max_context}"] > figures[f"baseline/nearest/{c.max_context}"] + 3


def test_weights_of_another_learner_are_refused(tmp_path):
    one, other = (made(name) for name in NAMES[:2])
    card = {"learner": NAMES[0], "config": options.to_dict(one.config), "spec": options.to_dict(stream(NAMES[0]).spec)}
    learners.save_encoder(tmp_path / "encoder", other.encoder(), card)
    with pytest.raises(errors.CaveError, match="weights of another model"):
        learners.load_encoder(tmp_path)
    runs.write_atomic(tmp_path / "empty", {"card.json": b"{}"})
    with pytest.raises(errors.CaveError, match="lacks encoder.safetensors"):
        learners.load_encoder(tmp_path / "empty")
    with pytest.raises(errors.CaveError, match="did you mean"):
        (tmp_path / "gqn-rooms-0" / "encoder").mkdir(parents=True)
        (tmp_path / "gqn-rooms-0" / "encoder" / "card.json").write_text("{}")
        learners.load_encoder(tmp_path / "gqn-room-0")


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_finite_and_pictures_are_pictures(name):
    learner = made(name).eval()
    batches = [tensors(name, step=i, split="test", batch_size=8) for i in range(2)]
    figures = learner.evaluate(iter(batches), torch.Generator().manual_seed(0), True)
    assert figures and all(np.isfinite(value) for value in figures.values())
    assert any(key.startswith("baseline/") for key in figures)
    shown = learner.pictures(batches[0], torch.Generator().manual_seed(0), False)
    assert shown
    for picture in shown.values():
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 5


def test_untrained_encoders_follow_their_seed():
    spec = options.to_dict(stream("beta_vae").spec)
    config = learners.learner("beta_vae").Config.tiny()
    state = torch.random.get_rng_state()
    one, two, other = (learners.untrained("beta_vae", config, spec, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    seen = observations(one)
    assert torch.equal(follow(one, seen)[0], follow(two, seen)[0])
    assert not torch.equal(follow(one, seen)[0], follow(other, seen)[0])
