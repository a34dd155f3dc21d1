"""Frames of episodes: what the agent sees, where it stands, and what its encoder had imagined, side by side."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

import agents
import envs
from evaluation.film import above, panels
from evaluation.studies import facts
from scenes.kit import seeds

HOLD = 8
"""How often an episode's last frame is repeated, so that its end can be seen."""


def frames(policy: agents.Policy, split: str, n_episodes: int, seed: int, deterministic: bool) -> list[np.ndarray]:
    """Every frame of a film of whole episodes, one after the other.

    Args:
        policy: Who plays; its sight says what is imagined.
        split: Where.
        n_episodes: How many; episode `j` is the first of the world with seed `seed + j`.
        seed: See above; also of what is imagined.
        deterministic: Whether the likeliest actions are taken.
    """
    encoder = policy.sight.encoder
    can_imagine = hasattr(encoder, "imagine")
    generator = torch.Generator().manual_seed(seeds.derive(seed, "imagine"))
    extent = envs.module(policy.card["env"]).extent(policy.env_config)
    films: list[list[np.ndarray]] = [[] for _ in range(n_episodes)]
    totals, before = np.zeros(n_episodes), policy.sight.initial(n_episodes)
    steps = agents.play(
        policy,
        split,
        n_episodes,
        seed,
        n_worlds=n_episodes,
        deterministic=deterministic,
        sensors=("image", "pose", "goal"),
    )
    for step in steps:
        poses = step.sensors["pose"]
        # A world whose episode has just begun has forgotten all: it is asked to imagine from nothing.
        fresh = np.array([not film for film in films])
        before = policy.sight.reset(before, fresh) if fresh.any() else before
        imagined = _imagine(encoder, before, poses, generator) if can_imagine else [None] * n_episodes
        # What orthographic cameras see is a map already.
        mapped = hasattr(envs.module(step.world.name), "family") and not hasattr(envs.module(step.world.name), "EXTENT")
        maps = above.pictures(facts.scenes_of(step.world), poses, extent) if mapped else [None] * n_episodes
        for row in np.flatnonzero(step.episode >= 0):
            totals[row] += step.rewards[row]
            ended = step.terminated[row] or step.truncated[row]
            frame = _frame(policy, split, step, row, totals[row], maps[row], imagined[row], bool(fresh[row]))
            films[row] += [frame] * (HOLD if ended else 1)
        before = step.memory
    return [frame for film in films for frame in film]


def seed_of(seed: int) -> int:
    """First seed of a film's episodes, far from those of training."""
    return seeds.derive(seed, "evaluation", "video") >> 1


@torch.inference_mode()
def _imagine(encoder: Any, memory: dict, poses: np.ndarray, generator: torch.Generator) -> np.ndarray:
    device = next(encoder.parameters()).device
    return encoder.imagine(memory, torch.from_numpy(poses).to(device), generator).cpu().numpy()


def _frame(policy, split, step, row, total, above_it, imagined, fresh: bool) -> np.ndarray:
    seen = step.sensors["image"][row]
    titles, pictures = ["What the agent sees"], [seen]
    remarks = [f"{seen.shape[1]} x {seen.shape[0]}, {policy.card['env']}, split {split}"]
    if above_it is not None:
        titles.append("From above")
        pictures.append(above_it)
        remarks.append("the white cone is the agent")
    titles.append("What its encoder had imagined")
    if imagined is None:
        remarks.append(f"{policy.card['encoder_name']}: nothing here imagines what it has not seen")
    else:
        remarks.append("nothing seen yet" if fresh else "this view, before it was seen, from those before it")
    wanted, colour = told(step.world, step.sensors["goal"][row])
    foot = f"episode {row + 1}   reward {step.rewards[row]:+.2f}   return {total:+.2f}   "
    foot += "reached   " if step.success[row] else "time is up   " if step.truncated[row] else ""
    return panels.compose([*pictures, imagined], titles, remarks, f"{foot}{wanted}", patch=colour)


def told(world: envs.World, goal: Float32[np.ndarray, " d"]) -> tuple[str, Float32[np.ndarray, " 3"] | None]:
    """What a goal is, in words, and the colour that it names, if it names one; the numbers beside it say where."""
    by, named, colour = getattr(world.config, "goal", ""), [], None
    if by == "colour":
        colour, goal = goal[:3], goal[3:]
    elif by == "shape":
        shapes = envs.module(world.name).family.SHAPES
        named, goal = [shapes[goal[: len(shapes)].argmax()]], goal[len(shapes) :]
    words = [*named, *(f"{number:.2f}" for number in goal)]
    return " ".join(["goal", *words] if words or colour is not None else []), colour
