"""What can be learned from watching.

This file is the contract of the package. A module beside it is one paper: `learners/gqn.py` is `python -m learners.train gqn`.
`nets` holds shared mathematics and `train` is the command. A learner's module has three names:

    Config    frozen dataclass; defaults are the paper's, `Config.small()` learns something worth seeing on two CPU cores in
              ten minutes, `Config.tiny()` trains in seconds, for tests
    Learner   what is trained; an `nn.Module` that keeps the promises of `Learner` below
    Encoder   what an agent or a probe gets; an `nn.Module` that keeps the promises of `Encoder` below

The two classes here are protocols: nothing inherits from them, and importing this file costs no torch, so that a command can
list the learners at once.

Why encoders are folders of numbers: an agent, a probe and a video all rebuild the encoder from `encoder.safetensors` and
`card.json`, checked by hash. Nothing that is loaded can run code.

Why codes are normalised by the encoder: policies and probes then meet every encoder at the same scale, with statistics fixed
at the end of the encoder's own training, and nothing that depends on who reads it moves later.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scenes.kit import errors, options, plugins, runs

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor


SCHEDULE = {
    "batch_size": (1, 10**6), "steps": (1, 10**9), "learning_rate": (0.0, 1.0), "learning_rate_end": (0.0, 1.0),
    "warmup": (0.0, 1.0), "decay_until": (0.0, 1.0), "weight_decay": (0.0, 1.0), "clip": (0.0, 1e9),
}  # fmt: skip
"""Limits of the numbers that every learner's config shares, for its own check (`scenes.kit.errors.within`)."""


class Learner(Protocol):
    """What the trainer asks of a learner. It knows nothing of optimisers, devices, logging or files."""

    batch: str
    """The stream it eats: a class of `envs.streams`."""

    def __init__(self, config: Any, spec: Any):
        """`spec` is the stream's: image size, field of view, extent of the world."""

    def loss(
        self, batch: dict[str, "Tensor"], step: int, generator: "torch.Generator", group: str = ""
    ) -> tuple["Tensor", dict[str, "Tensor"]]:
        """Scalar to descend on and what to log. All randomness comes from `generator`, a CPU generator."""

    def encoder(self) -> "Encoder":
        """The encoder, sharing this learner's weights; its normalisation is still the identity."""

    def evaluate(
        self, batches: Iterator[dict[str, "Tensor"]], generator: "torch.Generator", thorough: bool
    ) -> dict[str, float]:
        """Figures on held-out scenes; `thorough` at the end of a run, quick at intervals."""

    def pictures(self, batch: dict[str, "Tensor"], generator: "torch.Generator", last: bool) -> dict[str, "np.ndarray"]:
        """Pictures (h w 3) and films (t h w 3), bytes, of held-out scenes; films only when `last`.

        `batch` is a held-out batch of the learner's stream; where the stream can film, `film_images` (b t h w 3) and
        `film_poses` (b t 5) show the same scenes along a smooth path.
        """


class Encoder(Protocol):
    """A frozen map from what is sensed, and what was remembered, to a code.

    Promises, tested for every learner: deterministic; a batch equals its rows to 1e-5 in float32; using it moves neither
    weights nor buffers; `reset` forgets the worlds of the mask and no other.
    """

    sensors: tuple[str, ...]
    """What it reads: names of an environment's sensors, `image` and perhaps `pose`."""
    shape: tuple[int, ...]
    """Shape of a code: (d,), or (k, d) for slots."""
    image_size: tuple[int, int]
    """Height and width of the images that it reads."""
    frames: int
    """How many views a code can rest on: 1 for an encoder without memory."""

    def initial(self, b: int) -> dict[str, "Tensor"]:
        """State of `b` worlds that have seen nothing; empty for an encoder without memory."""

    def forward(self, obs: dict[str, "Tensor"], state: dict) -> tuple["Tensor", dict]:
        """Codes (b, *shape), float32 and normalised, and the new state. `image` is uint8 b h w 3, `pose` float32 b 5."""

    def reset(self, state: dict, mask: "Tensor") -> dict:
        """The state with the worlds of `mask` (bool, b) forgotten."""


def learner(name: str) -> Any:
    """The module of a learner by its name on the command line."""
    return plugins.load("learners", name, "learner")


def save_encoder(folder: Path, encoder: Any, card: dict, half: bool = False) -> None:
    """Write an encoder's folder, atomically: `encoder.safetensors`, `card.json` and the manifest of their hashes.

    Args:
        folder: Where.
        encoder: What to keep.
        card: What is known of it, as JSON.
        half: Whether weights are kept at half precision (float16); the statistics of the codes never are.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    if half:
        tensors |= {name: tensors[name].half() for name, _ in encoder.named_parameters()}
    text = json.dumps(card, indent=2, sort_keys=True) + "\n"
    runs.write_atomic(folder, {"encoder.safetensors": runs.save_tensors(tensors), "card.json": text.encode()})


SHIPPED = Path(__file__).parent / "encoders"
"""Encoders that come with the package; their folders' names are accepted wherever a run is."""


def encoder_folder(run: str | Path) -> Path:
    """The folder that holds the encoder of a run: `run` itself, `run/encoder`, or a shipped encoder of that name.

    Raises:
        CaveError: there is none; the line says what was looked for.
    """
    for folder in (Path(run), Path(run) / "encoder", SHIPPED / run):
        if (folder / "card.json").is_file() or (folder / "MANIFEST.json").is_file():
            return folder
    if not Path(run).is_dir():
        near = [path.parent.parent.as_posix() for path in Path(run).parent.glob("*/encoder/card.json")]
        near += [path.parent.name for path in SHIPPED.glob("*/card.json")]
        raise errors.unknown("run", str(run), near or ["python -m learners.train gqn --env rooms makes the first"])
    made = runs.made_by(Path(run))
    if made == "learners.train":
        raise errors.CaveError(f"{run} holds no encoder yet: finish it with --resume", errors.USAGE)
    told = f"{run} holds no encoder: {f'it is a run of {made}' if made else 'it is no run'}"
    raise errors.CaveError(f"{told}; give a learner's, or gqn-rooms, which comes with the package", errors.USAGE)


def load_encoder(run: str | Path) -> tuple[Any, dict]:
    """The frozen encoder of a run, on the CPU and in evaluation mode, and its card.

    Args:
        run: A folder of `learners.train` or its `encoder` folder.

    Raises:
        CaveError: no such folder, a damaged file, or weights that do not belong to the card's learner.
    """
    folder = encoder_folder(run)
    files = runs.read_checked(folder)
    if missing := {"card.json", "encoder.safetensors"} - set(files):
        raise errors.CaveError(f"{folder} is not an encoder: it lacks {', '.join(sorted(missing))}")
    card = json.loads(files["card.json"])
    try:
        name, spec = card["learner"], card["spec"]
        module = learner(name)
        config = options.from_dict(module.Config, card["config"])
        encoder = build(name, config, spec).encoder()
    except (KeyError, TypeError) as error:
        raise errors.CaveError(f"{folder}/card.json is not an encoder's card: {type(error).__name__} {error}") from None
    load_weights(encoder, runs.load_tensors(files["encoder.safetensors"]), f"{folder}/encoder.safetensors")
    return freeze(encoder), card


def load_weights(module: Any, tensors: dict[str, Any], where: str) -> None:
    """Put tensors into a module, refusing in one line any that are missing, unexpected or of another shape."""
    import torch

    own = module.state_dict()
    odd = sorted(set(own) ^ set(tensors))
    odd = odd or [n for n in own if tuple(own[n].shape) != tuple(tensors[n].shape)]
    if odd:
        raise errors.CaveError(
            f"{where}: weights of another model; {len(odd)} names or shapes differ, first {odd[0]!r}"
        )
    module.load_state_dict({name: torch.as_tensor(value) for name, value in tensors.items()})


def build(name: str, config: Any, spec: dict) -> Any:
    """A learner's module, freshly made, from its config and its stream's spec as a dict."""
    from envs import streams

    return learner(name).Learner(config, options.from_dict(streams.Spec, spec))


def untrained(name: str, config: Any, spec: dict, seed: int) -> Any:
    """The encoder of a learner that was never trained: the baseline that says what training was worth."""
    import torch

    from scenes.kit import seeds

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "weights"))
        return freeze(build(name, config, spec).encoder())


def freeze(encoder: Any) -> Any:
    """The same encoder in evaluation mode, without gradients."""
    return encoder.eval().requires_grad_(False)
