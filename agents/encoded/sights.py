"""Sights: what of a world's sensors an agent is shown. Codes of a frozen encoder, pixels, or the true state.

A sight is a pure map `see(sensors, memory) -> (observation, memory)` over a batch of worlds, so that the same one
serves training, evaluation and a checkpoint: all that it remembers lies in `memory`, a dict of tensors whose first axis
is the worlds. The three kinds have the same six names; they share no base class, since they share no code.

What makes them comparable: each gets the goal; `Pixels` gets, by default, as many frames as GQN's encoder remembers,
with their poses; and `Codes` gets the present pose exactly if its encoder reads poses (an encoder that knows where it stands
would otherwise be compared with an agent that does not).
"""

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float32, Int

import envs
import learners
from learners.nets import codes
from learners.training import loop
from scenes.kit import errors, options

SMALLEST_IMAGE = 36
"""Pixels along an edge: below this Stable-Baselines3's convolutions (8/4, 4/2, 3/1) have nothing left to see.

Also the default of `Pixels`: small learners get 32, and what a policy sees itself should not be much finer.
"""

DEFAULT_FRAMES = 5
"""Frames that `pixels` remembers: as many views as the GQN encoder does."""

WEIGHT = 32
"""Numbers of unit deviation that a longer code weighs as much as. Chosen on two policy seeds of a GQN, whose 1,024 numbers it
took from a success of 0.48 on `rooms` after 200,000 steps to 0.75 (means of five)."""

N_CALIBRATION = 16
"""Batches from which an untrained encoder's normalisation is fixed: as many as `learners.train` takes."""


def pose_numbers(pose: Float32[np.ndarray, "*axes 5"]) -> Float32[np.ndarray, "*axes 7"]:
    """Poses (x, y, z, yaw, pitch) as networks like them: (x, y, z, sin yaw, cos yaw, sin pitch, cos pitch).

    GQN's viewpoint (Eslami et al. 2018): an angle that jumps at a full turn becomes two numbers that do not.
    """
    yaw, pitch = pose[..., 3], pose[..., 4]
    angles = np.stack([np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)], -1)
    return np.concatenate([pose[..., :3], angles], -1, dtype=np.float32)


def take(memory: dict[str, torch.Tensor], rows: Int[np.ndarray, " k"]) -> dict[str, torch.Tensor]:
    """The memory of some worlds only, as copies."""
    index = torch.from_numpy(rows)
    return {name: value[index.to(value.device)] for name, value in memory.items()}


def join(memory: dict[str, torch.Tensor], more: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The memory of some worlds and, behind it, of more."""
    return {name: torch.cat([value, more[name]]) for name, value in memory.items()}


class Blind:
    """Nothing at all: what the random and the scripted player see."""

    name = "blind"
    encoder = None
    image_size = None
    sensors: tuple[str, ...] = ()

    def space(self, offered: spaces.Dict) -> spaces.Box:
        """Space of one observation: a vector without numbers."""
        return _vector(0)

    def initial(self, n: int) -> dict[str, torch.Tensor]:
        """Memory of `n` worlds at the start of an episode: nothing."""
        return {}

    def see(self, sensors: dict[str, np.ndarray], memory: dict[str, torch.Tensor]):
        """No observation, and memory."""
        return None, memory

    def reset(self, memory: dict[str, torch.Tensor], mask: Bool[np.ndarray, " b"]) -> dict[str, torch.Tensor]:
        """Memory in which the masked worlds begin anew."""
        return memory


class State:
    """The true state and the goal, as one vector: the upper baseline, which no camera has."""

    name = "state"
    encoder = None
    image_size = None

    def __init__(self):
        self.sensors = ("state", "goal")

    def space(self, offered: spaces.Dict) -> spaces.Box:
        """Space of one observation, given the space of one world's sensors."""
        return _vector(_size(offered, "state") + _size(offered, "goal"))

    def initial(self, n: int) -> dict[str, torch.Tensor]:
        """Memory of `n` worlds at the start of an episode: nothing."""
        return {}

    def see(self, sensors: dict[str, np.ndarray], memory: dict[str, torch.Tensor]):
        """Observation, float32 (b, d), and memory."""
        return _flat(sensors["state"], sensors.get("goal")), memory

    def reset(self, memory: dict[str, torch.Tensor], mask: Bool[np.ndarray, " b"]) -> dict[str, torch.Tensor]:
        """Memory in which the masked worlds begin anew."""
        return memory


class Pixels:
    """The last frames as they are, newest first, with the pose of each and the goal: the baseline that learns to see.

    The space is a dict, which Stable-Baselines3's `MultiInputPolicy` feeds to its own convolutions: `image` uint8
    (3 frames, h, w) and `vector` float32 (7 frames + goal). Frames from before the episode are black, their poses zero.

    Args:
        frames: How many frames are remembered, at least 1.
        size: Height and width of a frame.
    """

    name = "pixels"
    encoder = None

    def __init__(self, frames: int = DEFAULT_FRAMES, size: int = SMALLEST_IMAGE):
        if frames < 1:
            raise errors.CaveError(f"--frames is {frames}: pixels need at least 1 frame", errors.USAGE)
        if size < SMALLEST_IMAGE:
            raise errors.CaveError(
                f"--frame-size is {size}: Stable-Baselines3's pixel policy needs at least {SMALLEST_IMAGE}",
                errors.USAGE,
            )
        self.image_size = (size, size)
        self.sensors = ("image", "pose", "goal")
        self.frames = frames
        self._size = (0, 0)

    def space(self, offered: spaces.Dict) -> spaces.Dict:
        """Space of one observation, given the space of one world's sensors."""
        height, width, _ = offered["image"].shape
        if min(height, width) < SMALLEST_IMAGE:
            raise errors.CaveError(
                f"images of {height}x{width} are too small for Stable-Baselines3's pixel policy: it wants at least "
                f"{SMALLEST_IMAGE}x{SMALLEST_IMAGE}",
                errors.USAGE,
            )
        self._size = (height, width)
        image = spaces.Box(0, 255, (3 * self.frames, height, width), np.uint8)
        return spaces.Dict({"image": image, "vector": _vector(7 * self.frames + _size(offered, "goal"))})

    def initial(self, n: int) -> dict[str, torch.Tensor]:
        """Memory of `n` worlds at the start of an episode: black frames and zero poses."""
        image = torch.zeros((n, 3 * self.frames, *self._size), dtype=torch.uint8)
        return {"image": image, "pose": torch.zeros((n, 7 * self.frames))}

    def see(self, sensors: dict[str, np.ndarray], memory: dict[str, torch.Tensor]):
        """Observation, a dict of uint8 (b, 3 frames, h, w) and float32 (b, d), and memory."""
        newest = torch.from_numpy(sensors["image"]).permute(0, 3, 1, 2)
        image = torch.cat([newest, memory["image"][:, :-3]], 1)
        pose = torch.cat([torch.from_numpy(pose_numbers(sensors["pose"])), memory["pose"][:, :-7]], 1)
        observation = {"image": image.numpy(), "vector": _flat(pose.numpy(), sensors.get("goal"))}
        return observation, {"image": image, "pose": pose}

    def reset(self, memory: dict[str, torch.Tensor], mask: Bool[np.ndarray, " b"]) -> dict[str, torch.Tensor]:
        """Memory in which the masked worlds begin anew."""
        keep = torch.from_numpy(~mask)
        return {"image": memory["image"] * keep[:, None, None, None], "pose": memory["pose"] * keep[:, None]}


class Codes:
    """The code of a frozen encoder, the goal, and the present pose if the encoder reads poses, as one vector.

    The encoder stays here, outside the policy, in evaluation mode and without gradients. Handed to Stable-Baselines3
    as a features extractor it would be initialised afresh and its batch statistics would move.

    Args:
        encoder: A `learners.Encoder`; it is frozen here and moved to `device`.
        name: What runs and tables call it.
        card: What is known of it.
        device: Where it computes.
        folder: Where it was loaded from; None for one that was made.
        precision: Of its matrix products: float32 or bfloat16.
    """

    def __init__(
        self,
        encoder: Any,
        name: str,
        card: dict[str, Any] | None = None,
        device: str = "cpu",
        folder: Path | None = None,
        precision: str = "float32",
    ):
        # Convolutions of few channels over channels-last images, which these are, take half the time on a CPU.
        self.encoder = encoder.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.name, self.card, self.folder = name, card or {}, folder
        self.image_size = tuple(encoder.image_size)
        self.device, self.precision = torch.device(device), precision
        self.sensors = tuple(dict.fromkeys((*encoder.sensors, "goal")))

    def space(self, offered: spaces.Dict) -> spaces.Box:
        """Space of one observation, given the space of one world's sensors."""
        pose = 7 if "pose" in self.encoder.sensors else 0
        return _vector(math.prod(self.encoder.shape) + _size(offered, "goal") + pose)

    def initial(self, n: int) -> dict[str, torch.Tensor]:
        """The encoder's state of `n` worlds at the start of an episode."""
        return {name: value.to(self.device) for name, value in self.encoder.initial(n).items()}

    @torch.inference_mode()
    def see(self, sensors: dict[str, np.ndarray], memory: dict[str, torch.Tensor]):
        """Observation, float32 (b, d), and the encoder's next state."""
        read = {name: torch.from_numpy(sensors[name]).to(self.device) for name in self.encoder.sensors}
        with loop.autocast(self.device.type, self.precision):
            code, memory = self.encoder(read, memory)
        pose = pose_numbers(sensors["pose"]) if "pose" in self.encoder.sensors else None
        code = code.flatten(1).cpu().numpy()
        # A long code of unit deviations would drown the goal beside it, and with it what there is to learn.
        code *= min(1.0, math.sqrt(WEIGHT / code.shape[1]))
        return _flat(code, sensors.get("goal"), pose), memory

    @torch.inference_mode()
    def reset(self, memory: dict[str, torch.Tensor], mask: Bool[np.ndarray, " b"]) -> dict[str, torch.Tensor]:
        """State in which the masked worlds begin anew."""
        return self.encoder.reset(memory, torch.from_numpy(mask).to(self.device))


def digest(encoder: torch.nn.Module | None) -> str:
    """SHA-256 of an encoder's weights and buffers with their names; empty without an encoder.

    Equal digests before and after training are what "frozen" means here.
    """
    if encoder is None:
        return ""
    sha = hashlib.sha256()
    for name, value in sorted([*encoder.named_parameters(), *encoder.named_buffers()]):
        plain = value.detach().cpu().contiguous()
        sha.update(f"{name} {tuple(plain.shape)} {plain.dtype}".encode())
        sha.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def make(
    spec: str,
    *,
    env: str,
    env_config: Any,
    split: str = "train",
    frames: int = DEFAULT_FRAMES,
    frame_size: int = SMALLEST_IMAGE,
    seed: int = 0,
    size: str = "small",
    device: str = "cpu",
    precision: str = "float32",
    runs: str | os.PathLike = "runs",
) -> State | Pixels | Codes:
    """The sight that `--encoder` names.

    Args:
        spec: `state`, `pixels`, `untrained:<learner>`, or the folder of a learner's run (or its name within `runs`).
        env: Name of the environment (what an untrained encoder would have been trained on).
        env_config: Its `Config`.
        split: Its split.
        frames: Frames that `pixels` remembers.
        frame_size: Their height and width.
        seed: Of an untrained encoder's weights.
        size: Of an untrained encoder: tiny, small or paper.
        device: Where an encoder computes.
        precision: Of an encoder's matrix products: float32 or bfloat16.
        runs: Folder in which runs are looked up by name.

    Raises:
        scenes.kit.errors.CaveError: no such run, learner or kind; a damaged encoder.
    """
    if spec == "state":
        return State()
    if spec == "pixels":
        return Pixels(frames, frame_size)
    kind, colon, learner = spec.partition(":")
    if colon and kind == "untrained":
        encoder, card = untrained(learner, env, env_config, split, seed, size)
        return Codes(encoder, spec, card, device, None, precision)
    folder = find_run(spec, runs)
    encoder, card = learners.load_encoder(folder)
    whole = folder.resolve()
    name = whole.parent.name if whole.name == "encoder" else whole.name
    return Codes(encoder, name, card, device, folder, precision)


def find_run(spec: str, runs: str | os.PathLike = "runs") -> Path:
    """The folder that holds the encoder called `spec`: a path, the name of a run within `runs`, or of a shipped one.

    Raises:
        scenes.kit.errors.CaveError: there is none; the line lists those there are.
    """
    for folder in (Path(spec), Path(runs) / spec, learners.SHIPPED / spec):
        if folder.is_dir():
            return folder
    there = sorted(str(card.parent.parent) for card in Path(runs).glob("*/encoder/card.json"))
    there += sorted(card.parent.name for card in learners.SHIPPED.glob("*/card.json"))
    raise errors.unknown("encoder", spec, ["state", "pixels", "untrained:<learner>", *there])


def untrained(
    learner: str, env: str, env_config: Any, split: str, seed: int, size: str = "small"
) -> tuple[Any, dict[str, Any]]:
    """A learner's encoder with fresh weights, and its card.

    Its codes are normalised on the same data as a trained one's, so that what remains of the difference is what
    training was worth: weights are random, principal components and scales are not. The few pictures that these take are not
    charged.
    """
    module = learners.learner(learner)
    config = module.Config() if size == "paper" else getattr(module.Config, size)()
    square, views = (config.image_size, config.image_size), loop.views_of(config)
    stream = envs.stream(env, env_config, module.Learner.batch, split, seed, config.batch_size, square, views)
    spec = options.to_dict(stream.spec)
    encoder = learners.untrained(learner, config, spec, seed)
    batches = (loop.as_observations(loop.to_tensors(stream.draw(step), "cpu")) for step in range(N_CALIBRATION))
    with torch.no_grad():
        codes.calibrate(encoder, batches)
    card = {"learner": learner, "config": options.to_dict(config), "spec": spec, "env": env, "split": split}
    card |= {"env_config": options.to_dict(env_config), "seed": seed, "steps": 0, "frames": 0, "untrained": True}
    return encoder, card | {"sensors": list(encoder.sensors), "shape": list(encoder.shape)}


def _vector(d: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (d,), np.float32)


def _size(offered: spaces.Dict, sensor: str) -> int:
    return math.prod(offered[sensor].shape) if sensor in offered.spaces else 0


def _flat(*parts: np.ndarray | None) -> Float32[np.ndarray, "b d"]:
    rows = [part.reshape(len(part), -1) for part in parts if part is not None]
    return np.concatenate(rows, 1, dtype=np.float32)
