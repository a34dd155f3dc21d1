"""Scenes as a policy meets them, with the truth beside: what probes are fitted on."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float32

import envs
from evaluation.studies import facts

CHUNK = 256
"""Worlds looked at together."""

POOLED = 16
"""Side to which pictures are pooled where an observation has some."""

_PERIOD = {"hue": 1.0, "yaw": 2 * math.pi, "azimuth": 2 * math.pi, "bearing": 2 * math.pi}


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """One true factor over `n` scenes."""

    name: str
    values: np.ndarray
    """Shape (n,): integers are classes, floats are numbers. Only the rows of `known` mean anything."""
    known: np.ndarray
    """Bool (n,): where there is such a thing at all."""

    @property
    def is_class(self) -> bool:
        """Whether it is one of several kinds, and not a number."""
        return self.values.dtype.kind in "iub"

    @property
    def period(self) -> float | None:
        """The period of a number that returns to itself, such as a hue or an angle; told by the name's last word."""
        return None if self.is_class else _PERIOD.get(self.name.split("_")[-1].split(" ")[-1])


def glimpse(
    sight: Any, env: str, env_config: Any, split: str, seed: int, n: int, steps: int
) -> tuple[Float32[np.ndarray, "n d"], dict[str, Factor]]:
    """What a sight makes of `n` scenes after `steps` random actions in each, and their true factors.

    Args:
        sight: Of `agents.encoded`; its goal is withheld.
        env: Name of the environment.
        env_config: Its `Config`.
        split: Which scenes.
        seed: Scene `i` is the first that the world of seed `seed + i` meets, unless an episode ends on the way.
        n: How many scenes.
        steps: Random actions before the observation that counts.
    """
    parts = [_chunk(sight, env, env_config, split, seed + i, min(CHUNK, n - i), steps) for i in range(0, n, CHUNK)]
    features = np.concatenate([part[0] for part in parts])
    names = parts[0][1]
    joined = {
        name: Factor(
            name, *(np.concatenate([getattr(part[1][name], a) for part in parts]) for a in ("values", "known"))
        )
        for name in names
    }
    return features, joined


def _chunk(sight, env, env_config, split, seed, n, steps):
    wanted = tuple(dict.fromkeys((*sight.sensors, "ids", "pose")))
    world = envs.make(env, env_config, n=n, split=split, seed=seed, sensors=wanted, size=sight.image_size)
    sight.space(world.observation_space)
    world.reset(None, seed + np.arange(n))
    memory = sight.initial(n)
    for step in range(steps + 1):
        sensed = world.observe()
        observation, memory = sight.see({k: v for k, v in sensed.items() if k != "goal"}, memory)
        if step < steps:
            _, terminated, truncated = world.step(world.random())
            done = terminated | truncated
            if done.any():
                world.reset(done)
                memory = sight.reset(memory, done)
    first_object = facts.scenes_of(world).first_object
    return flat(observation), truths(world.factors(), sensed["ids"], sensed["pose"], first_object)


def flat(observation: Any) -> Float32[np.ndarray, "b d"]:
    """An observation as one row of numbers a world; pictures (b, c, h, w) are pooled first."""
    if not isinstance(observation, dict):
        return np.array(observation, np.float32).reshape(len(observation), -1)
    return np.concatenate([pooled(v) if v.ndim == 4 else flat(v) for v in observation.values()], 1)


def pooled(pictures: np.ndarray) -> Float32[np.ndarray, "b d"]:
    """Pictures (b, c, h, w) averaged over blocks to at most `POOLED` by `POOLED`, in 0..1, one row each."""
    b, c, h, w = pictures.shape
    high, wide = math.ceil(h / POOLED), math.ceil(w / POOLED)
    kept = pictures[:, :, : h // high * high, : w // wide * wide].reshape(b, c, h // high, high, w // wide, wide)
    return (kept.mean((3, 5), dtype=np.float32) / 255).reshape(b, -1)


def truths(factors: dict[str, np.ndarray], ids: np.ndarray, pose: np.ndarray, first_object: int) -> dict[str, Factor]:
    """The factors of each scene and of the object looked at.

    Args:
        factors: As `Scenes.factors`: (b,) of the scene, (b, k) of its objects.
        ids: Solids seen, int (b, h, w).
        pose: Of the eye, (b, 5).
        first_object: Number of solids that are scenery.

    Returns:
        Those of the scene by their names; those of the object whose pixel is nearest the picture's centre as
        `seen object: <name>`, with `distance` in metres and `bearing` in radians, leftwards positive.
    """
    found = {}
    everywhere = np.ones(len(ids), bool)
    for name, values in factors.items():
        if np.ndim(values) == 1:
            found[name] = Factor(name, np.asarray(values), everywhere)
    # What comes after the objects is scenery again.
    end = first_object + np.reshape(factors.get("n_objects", np.inf), (-1, 1, 1))
    looked_at, known = central_object(np.where(ids < end, ids, -1), first_object)
    rows = np.arange(len(ids))
    own = {name: np.asarray(v)[rows, looked_at] for name, v in factors.items() if np.ndim(v) == 2}
    if {"x", "y"} <= own.keys():
        across, along = own["x"] - pose[:, 0], own["y"] - pose[:, 1]
        own["distance"] = np.hypot(across, along)
        own["bearing"] = (np.arctan2(along, across) - pose[:, 3] + np.pi) % (2 * np.pi) - np.pi
    for name, values in own.items():
        found[f"seen object: {name}"] = Factor(f"seen object: {name}", values, known)
    return found


def central_object(ids: np.ndarray, first_object: int) -> tuple[np.ndarray, np.ndarray]:
    """Which object each picture shows nearest its centre, int (b,) counted from 0, and whether it shows one."""
    b, h, w = ids.shape
    off_centre = np.hypot(*np.meshgrid(np.arange(h) + 0.5 - h / 2, np.arange(w) + 0.5 - w / 2, indexing="ij"))
    far = np.where(ids >= first_object, off_centre, np.inf).reshape(b, -1)
    nearest = far.argmin(1)
    known = np.isfinite(far[np.arange(b), nearest])
    return np.where(known, ids.reshape(b, -1)[np.arange(b), nearest] - first_object, 0), known
