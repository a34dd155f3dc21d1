"""One readable loop: play, learn, log, save.

Everything is at rest between two rollouts, so that is where checkpoints are taken and signals are answered. A
checkpoint holds weights, optimiser, generators, worlds and the encoder's memory; a run that was killed ends in the same
bits as the unbroken one, on the same CPU with the same number of threads.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import agents
import envs
import learners
from agents import encoded
from learners.training import loop as learning
from scenes.kit import errors, options, runs, seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Options of a run, whatever agent, encoder and environment it has."""

    env: str = "rooms"
    """Environment to act in."""
    encoder: str = "state"
    """What the agent sees: the run of a learner, pixels, state, or untrained:<learner>."""
    env_steps: int = 200_000
    """Interactions, over all worlds; rounded up to whole rollouts."""
    seed: int = 0
    """Root of all randomness."""
    split: str = "train"
    """Split of the environment to learn in."""
    n_worlds: int = 128
    """Worlds that run side by side."""
    frames: int = 5
    """Frames that pixels remembers, the newest among them."""
    frame_size: int = encoded.sights.SMALLEST_IMAGE
    """Height and width of those frames."""
    size: Literal["tiny", "small", "paper"] = "small"
    """Of an untrained encoder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the encoder computes; policies stay on the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the encoder's matrix products; auto is bfloat16 where the hardware multiplies it."""
    threads: int = 2
    """CPU threads of torch; another number gives other bits."""
    runs: Path = Path("runs")
    """Folder that holds the runs."""
    name: str = ""
    """Of the run's folder; by default agent-encoder-env-seed."""
    resume: bool = False
    """Go on from the newest checkpoint."""
    checkpoint_every: int = 50_000
    """Interactions between checkpoints."""


MANY_WORLDS = 65_536
"""Most worlds side by side: beyond that a slip is likelier than a machine that holds them."""
ELSEWHERE = ("runs", "name", "resume", "checkpoint_every")
"""Options that change where and when a run is written, not what it is."""


def train(name: str, run: Run, config: Any, env_config: Any) -> Path:
    """Train an agent and leave its run's folder, with the policy in it.

    Args:
        name: Of the agent.
        run: Options of the run.
        config: The agent's.
        env_config: The environment's.

    Returns:
        The run's folder.

    Raises:
        scenes.kit.errors.CaveError: an unknown name, a damaged folder, an encoder that the environment cannot feed, a
            number that is not finite, or an encoder that did not stay frozen.
    """
    limits = {"env_steps": 10**12, "n_worlds": MANY_WORLDS, "threads": 1024, "checkpoint_every": 10**12}
    for option, most in limits.items():
        if not 1 <= getattr(run, option) <= most:
            given = f"--{option.replace('_', '-')} is {getattr(run, option)}"
            raise errors.CaveError(f"{given}: give 1 to {most:,}", errors.USAGE)
    if not envs.module(run.env).World.TASK:
        told = f"--env {run.env} has no task: nothing is rewarded there; give one with a task, such as rooms"
        raise errors.CaveError(told, errors.USAGE)
    torch.set_num_threads(run.threads)
    learning.keep_buffers()
    module = agents.load_agent(name)
    sight = _sight(name, run, env_config)
    frozen = encoded.digest(sight.encoder)
    world = _worlds(run, env_config, sight)
    agent = module.make(config, encoded.EncodedVecEnv(world, sight), seeds.derive(run.seed, "agent"))

    settings = {
        "command": "agents.train", "agent": name, "model": options.to_dict(config),
        "run": {n: v for n, v in options.to_dict(run).items() if n not in ELSEWHERE},
        "env": options.to_dict(env_config), "encoder_hash": frozen, "resolved": _resolved(run),
    }  # fmt: skip
    folder = runs.create(run.runs, run.name or _name(name, run, sight), settings, resume=run.resume)
    if run.resume and (saved := runs.newest_checkpoint(folder)):
        agent.load_state_dict(saved.tensors, saved.state)
    elif sight.encoder is not None and sight.folder is None:
        # An untrained encoder exists nowhere else: the run keeps its own.
        learners.save_encoder(folder / "encoder", sight.encoder, sight.card)
    runs.truncate_metrics(folder, agent.env_steps)
    first = agent.env_steps
    print(
        f"{name} on {run.env} through {sight.name}: env steps {first} to {run.env_steps}, {run.n_worlds} worlds, "
        f"{run.threads} threads, in {folder}",
        flush=True,
    )
    known = getattr(sight, "card", {})
    if known.get("env", run.env) != run.env:
        print(f"note: {sight.name} watched {known['env']}, and acts in {run.env}", file=sys.stderr, flush=True)
    elif known.get("env_config", {}).get("cameras") == "ring" and "pose" in sight.sensors:
        said = f"note: {sight.name} watched from a ring of cameras and agents stand anywhere; one for agents is trained with"
        print(f"{said} --env.cameras free", file=sys.stderr, flush=True)
    seconds = _learn(agent, run, folder)
    if encoded.digest(sight.encoder) != frozen:
        raise errors.CaveError(
            f"{folder}: the encoder's weights moved while the agent learned; its policy is not saved"
        )
    card = {
        "agent": name, "config": options.to_dict(config), "env": run.env, "env_config": options.to_dict(env_config),
        "split": run.split, "seed": run.seed, "frames": run.frames, "frame_size": run.frame_size, "env_steps": agent.env_steps,
        "encoder": run.encoder, "encoder_name": sight.name, "encoder_hash": frozen, "encoder_hash_after": frozen,
        "encoder_folder": _encoder_folder(sight, run, folder), "encoder_card": getattr(sight, "card", {}),
        "sensors": list(sight.sensors), **_resolved(run), "provenance": runs.provenance(),
    }  # fmt: skip
    agents.save_policy(folder / "policy", agent.policy, card)
    rate = f", {(agent.env_steps - first) / seconds:.0f} env steps/s" if agent.env_steps > first else ""
    print(f"policy in {folder / 'policy'}{rate}", flush=True)
    return folder


def _learn(agent: Any, run: Run, folder: Path) -> float:
    """Rollout after rollout until the steps are done; returns the seconds that took."""
    from torch.utils.tensorboard import SummaryWriter

    board = SummaryWriter(str(folder / "tensorboard"), purge_step=agent.env_steps)
    stop = learning.Stop()
    shown, advance = learning.bar(run.env_steps, agent.env_steps)
    started = since = time.perf_counter()
    saved_at = agent.env_steps
    try:
        with shown:
            while agent.env_steps < run.env_steps:
                agent.venv.finished.clear()
                metrics = agent.learn()
                now = time.perf_counter()
                row = {
                    **_episodes(agent.venv.finished),
                    **metrics,
                    "steps_per_second": agent.rollout_steps / (now - since),
                }
                since = now
                runs.append_metrics(folder, {"step": agent.env_steps, "env_steps": agent.env_steps, **row})
                for key, value in row.items():
                    if value is not None:
                        board.add_scalar(key, value, agent.env_steps)
                advance(agent.env_steps, _note(row))
                last = agent.env_steps >= run.env_steps
                if stop.signal or last or agent.env_steps - saved_at >= run.checkpoint_every:
                    runs.save_checkpoint(folder, agent.env_steps, *agent.state_dict())
                    saved_at = agent.env_steps
                if stop.signal and not last:
                    raise SystemExit(128 + stop.signal)
    except SystemExit:
        stop.tell(folder)
        raise
    finally:
        stop.release()
        board.close()
    return time.perf_counter() - started


def _episodes(finished: list[tuple[float, int, bool]]) -> dict[str, float | int | None]:
    """Means over the episodes that ended in a rollout; None where none did."""
    means = [float(np.mean(column)) for column in zip(*finished, strict=True)] or [None] * 3
    return {"episodes": len(finished), **dict(zip(("return", "length", "success"), means, strict=True))}


def _note(row: dict[str, Any]) -> str:
    success = "" if row["success"] is None else f"success {row['success']:.2f}  return {row['return']:.2f}  "
    return f"{success}{row['steps_per_second']:.0f} env steps/s"


def _sight(name: str, run: Run, env_config: Any) -> Any:
    """What the agent will see; a resumed run takes up the untrained encoder that it kept."""
    spec, own = run.encoder, run.runs / (run.name or _name(name, run, None)) / "encoder"
    kept = run.resume and spec.startswith("untrained:") and own.is_dir()
    sight = encoded.make(
        str(own) if kept else spec, env=run.env, env_config=env_config, split=run.split, frames=run.frames,
        frame_size=run.frame_size,
        seed=seeds.derive(run.seed, "untrained"), size=run.size, runs=run.runs, **_resolved(run),
    )  # fmt: skip
    if kept:
        sight.name = spec
    return sight


def _resolved(run: Run) -> dict[str, str]:
    device = learning.resolve_device(run.device)
    return {"device": device, "precision": learning.resolve_precision(run.precision, device)}


def _worlds(run: Run, env_config: Any, sight: Any) -> Any:
    # World i has seed `seed + i`, which must stay within 63 bits.
    seed = seeds.derive(run.seed, "worlds") >> 1
    try:
        return envs.make(run.env, env_config, run.n_worlds, run.split, seed, sight.sensors, sight.image_size)
    except errors.CaveError as error:
        if any(repr(sensor) in str(error) for sensor in sight.sensors):
            reads = ", ".join(sight.sensors)
            raise errors.CaveError(f"--encoder {run.encoder} needs the sensors {reads}: {error}", error.code) from None
        raise


def _name(name: str, run: Run, sight: Any) -> str:
    """Default name of the run's folder: an encoder goes by its learner."""
    seen = sight.card["learner"] if sight is not None and _loaded(run) else run.encoder.replace(":", "-")
    return f"{name}-{seen}-{run.env}-{run.seed}"


def _loaded(run: Run) -> bool:
    return run.encoder not in ("state", "pixels") and not run.encoder.startswith("untrained:")


def _encoder_folder(sight: Any, run: Run, folder: Path) -> str:
    """Where the encoder lies, seen from the run's folder; empty for a sight without one."""
    if sight.encoder is None:
        return ""
    if not _loaded(run):
        return "encoder"
    return os.path.relpath(sight.folder.resolve(), folder.resolve())
