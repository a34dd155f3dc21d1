"""One readable loop: draw, descend, log, look, save.

Everything random at step `s` comes from generators derived from (seed, words, s), and the batch of step `s` is a pure function
of (env, split, seed, s). So a run that was killed needs its weights and its optimiser's state and nothing else to go on as if
nothing had happened, bit by bit on the same CPU with the same number of threads.
"""

import contextlib
import ctypes
import dataclasses
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import envs
import learners
from learners.nets import codes
from scenes.kit import errors, films, options, runs, seeds, sheets

LOG_EVERY = 20
SAY_EVERY = 60.0
"""Seconds between lines where there is no terminal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Options of a run, whatever learner and environment it has."""

    env: str = "rooms"
    """Environment whose scenes are watched."""
    steps: int = 0
    """Optimiser steps; 0 leaves the learner's own number. Schedules stretch with it, also where a run is resumed with
    another number, to go on for longer or to end sooner."""
    seed: int = 0
    """Root of all randomness."""
    size: Literal["auto", "tiny", "small", "paper"] = "auto"
    """Of the learner; auto is paper with a GPU and small without."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto is bfloat16 where the hardware multiplies it."""
    split: str = "train"
    """Split of the environment that is watched."""
    runs: Path = Path("runs")
    """Folder that holds the runs."""
    name: str = ""
    """Of the run's folder; by default learner-env-seed."""
    resume: bool = False
    """Go on from the newest checkpoint."""
    start_from: str = ""
    """Run of the same learner whose newest checkpoint gives the first weights; optimiser and schedules begin anew."""
    half: bool = False
    """Keep the encoder's weights at half precision, for one that travels."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    evaluate_every: int = 400
    """Steps between looks at held-out scenes."""
    n_held_out: int = 1000
    """Held-out scenes of the last evaluation."""

    def __post_init__(self):
        many = (1, 10**9)
        limits = {"steps": (0, 10**9), "checkpoint_every": many, "evaluate_every": many, "n_held_out": (2, 10**9)}
        errors.within("learners.train", self, limits)
        if self.split == "test":
            raise errors.CaveError("--split test is what figures are measured on: train on another", errors.USAGE)


def sized(kind: type, size: str, device: str) -> Any:
    """The learner's config of a size; auto is the paper's where there is a GPU and small where not."""
    known = {"paper": kind, "small": kind.small, "tiny": kind.tiny}
    if size == "auto":
        size = "paper" if resolve_device(device) == "cuda" else "small"
    if size not in known:
        raise errors.unknown("size", size, ["auto", *known])
    return known[size]()


def resolve_device(device: str) -> str:
    """cpu or cuda."""
    if device == "cuda" and not torch.cuda.is_available():
        raise errors.CaveError("--device cuda: torch finds no GPU here; use --device cpu or auto", errors.USAGE)
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def resolve_precision(precision: str, device: str) -> str:
    """float32 or bfloat16; on a CPU, bfloat16 pays only where the processor has instructions for it."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    flags = Path("/proc/cpuinfo")
    text = flags.read_text() if flags.is_file() else ""
    return "bfloat16" if "amx_bf16" in text or "avx512_bf16" in text else "float32"


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager:
    """The context in which a step is computed."""
    return torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()


def learning_rate(config: Any, step: int) -> float:
    """Warm-up, then linear or cosine fall from `learning_rate` to `learning_rate_end`; the fall is counted from step 0."""
    if step < (rise := config.warmup * config.steps):
        return config.learning_rate * (step + 1) / (rise + 1)
    done = min(step / max(config.decay_until * config.steps, 1), 1.0)
    fallen = done if config.decay == "linear" else (1 - math.cos(math.pi * done)) / 2
    return config.learning_rate + (config.learning_rate_end - config.learning_rate) * fallen


def generator(seed: int, *words: str | int) -> torch.Generator:
    """A CPU generator derived by name."""
    return torch.Generator().manual_seed(seeds.derive(seed, *words))


def to_tensors(batch: dict[str, Any], device: str) -> dict[str, Tensor]:
    """The arrays of a stream's batch on the device; what is not an array (true factors) stays behind."""
    arrays = {name: value for name, value in batch.items() if isinstance(value, np.ndarray | Tensor)}
    return {name: torch.as_tensor(value).to(device, non_blocking=True) for name, value in arrays.items()}


def optimisers(learner: nn.Module, config: Any) -> dict[str, tuple[torch.optim.Optimizer, list[nn.Parameter]]]:
    """An Adam for each group of parameters that is trained in turn; mostly there is one."""
    groups = learner.groups() if hasattr(learner, "groups") else {"": list(learner.parameters())}
    make = lambda p: torch.optim.AdamW(p, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return {name: (make(parameters), parameters) for name, parameters in groups.items()}


def descend(
    learner: nn.Module, adams: dict, batch: dict[str, Tensor], config: Any, step: int, seed: int, cast: Callable
) -> dict[str, Tensor]:
    """One step of every group.

    Raises:
        CaveError: the loss or a gradient is not finite; weights and optimiser of its group are as they were before.
    """
    metrics: dict[str, Tensor] = {}
    for group, (adam, parameters) in adams.items():
        with cast():
            loss, seen = learner.loss(batch, step, generator(seed, "loss", group, step), group)
        if not torch.isfinite(loss):
            culprits = [n for n, v in seen.items() if not torch.isfinite(torch.as_tensor(v)).all()]
            culprits += [n for n, p in learner.named_parameters() if not torch.isfinite(p).all()]
            raise not_finite(step, "the loss", culprits)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.clip or math.inf)
        if not torch.isfinite(norm):
            bad = [n for n, p in learner.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
            raise not_finite(step, "a gradient", bad)
        for settings in adam.param_groups:
            settings["lr"] = learning_rate(config, step)
        adam.step()
        metrics |= {**seen, "loss": loss, "gradient_norm": norm}
    if hasattr(learner, "after_step"):
        learner.after_step(step)
    return {name: torch.as_tensor(value).detach() for name, value in metrics.items()}


def not_finite(step: int, what: str, culprits: list[str]) -> errors.CaveError:
    """The error of a run that left the real numbers."""
    where = f" (first in {culprits[0]})" if culprits else ""
    return errors.CaveError(
        f"step {step}: {what} is not finite{where}; checkpoints of steps before are kept: lower --model.learning-rate or set "
        "--model.clip, and start under another --name"
    )


def state_of(learner: nn.Module, adams: dict) -> dict[str, dict[str, Tensor]]:
    """All tensors that a checkpoint holds: weights, and for each optimiser its moments by parameter number."""
    tensors = {"learner": dict(learner.state_dict())}
    for group, (adam, _) in adams.items():
        moments = adam.state_dict()["state"]
        tensors[f"optimiser{group and '-' + group}"] = {
            f"{number}.{name}": value for number, slots in moments.items() for name, value in slots.items()
        }
    return tensors


def restore(learner: nn.Module, adams: dict, tensors: dict[str, dict[str, Any]], where: str) -> None:
    """Put a checkpoint's tensors back."""
    learners.load_weights(learner, tensors["learner"], where)
    for group, (adam, parameters) in adams.items():
        whole = adam.state_dict()
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors[f"optimiser{group and '-' + group}"].items():
            number, slot = name.split(".", 1)
            value, parameter = torch.as_tensor(value), parameters[int(number)]
            if value.shape == parameter.shape:
                # The fused step walks weights and moments side by side in memory, so their layouts must agree.
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            slots.setdefault(int(number), {})[slot] = value
        adam.load_state_dict({"state": slots, "param_groups": whole["param_groups"]})


def begin(learner: nn.Module, name: str, run: Run) -> dict[str, Any]:
    """Give a learner the weights of the run that `run.start_from` names, and tell which they are and what they have seen.

    Raises:
        CaveError: no such run, one of another learner or other sizes, or one without an intact checkpoint.
    """
    there = [Path(run.start_from), run.runs / run.start_from]
    folder = next((path for path in there if (path / "config.json").is_file()), None)
    if folder is None:
        known = sorted(path.parent.name for path in run.runs.glob("*/config.json"))
        raise errors.unknown("run", run.start_from, known or ["a folder that learners.train made"])
    made = runs.read_config(folder)
    if made.get("learner") != name:
        given = f"--start-from {run.start_from}: that run is of {made.get('learner') or made.get('command')}"
        raise errors.CaveError(f"{given}, wanted one of {name}", errors.USAGE)
    saved = runs.newest_checkpoint(folder)
    if saved is None:
        raise errors.CaveError(f"--start-from {run.start_from}: {folder} has no checkpoint yet", errors.USAGE)
    learners.load_weights(learner, saved.tensors["learner"], str(saved.folder))
    config = options.from_dict(learners.learner(name).Config, made["model"])
    return {"run": folder.name, "step": saved.step, "frames": frames_seen(config, saved.step, made)}


def keep_buffers() -> None:
    """Ask the C library to keep large buffers instead of giving them back after every operation.

    By default glibc maps every array above some 100 KiB anew, and the kernel clears its pages: a fifth to a third of
    the time of a small network on a CPU. Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        # M_MMAP_THRESHOLD, of which an older library takes 32 MiB at most, and M_TRIM_THRESHOLD.
        _ = libc.mallopt(-3, 1 << 30) or libc.mallopt(-3, 1 << 25)
        libc.mallopt(-1, 1 << 30)


class Stop:
    """Turns the first Ctrl-C or SIGTERM into a request to save and end at the next step; the second ends at once."""

    def __init__(self) -> None:
        self.signal, self.at_once = 0, False
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not in the main thread: signals go elsewhere
                signal.signal(number, self.note)

    def note(self, number: int, frame: Any) -> None:
        """The handler."""
        if self.signal:
            self.at_once = True
            raise SystemExit(128 + number)
        self.signal = number
        os.write(2, b"stopping: saving after this step; once more ends at once, unsaved\n")  # print is not reentrant

    def tell(self, folder: Path) -> None:
        """Say what a run that was stopped has kept."""
        kept = sorted(int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*"))
        if not self.at_once:
            said = "stopped and saved: the same line with --resume goes on"
        elif kept:
            said = f"stopped at once: the same line with --resume goes on from step {kept[-1]}, the newest checkpoint"
        else:
            said = "stopped at once, before the first checkpoint: the same line with --resume begins anew"
        print(f"{said}; run in {folder}", flush=True)

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)


def bar(total: int, start: int) -> tuple[Any, Callable[[int, str], None]]:
    """A progress bar with rate and estimate where there is a terminal; where not, a line every minute."""
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[note]}"), progress.TimeElapsedColumn(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    shown = progress.Progress(*columns, disable=not sys.stdout.isatty(), refresh_per_second=2)
    task = shown.add_task("training", total=total, completed=start, note="")
    said = time.monotonic()

    def advance(step: int, note: str) -> None:
        nonlocal said
        shown.update(task, completed=step, note=note)
        if shown.disable and time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            print(f"{step} of {total}: {note}", flush=True)

    return shown, advance


def held_out(stream: Any, n_scenes: int, batch_size: int, device: str) -> Iterator[dict[str, Tensor]]:
    """Batches of a held-out stream until `n_scenes` were seen."""
    n_batches = -(-n_scenes // batch_size)
    for step in range(n_batches):
        # Shared out evenly, since a batch of one scene has no other scenes to take a mean of.
        rows = n_scenes // n_batches + (step < n_scenes % n_batches)
        yield {name: value[:rows] for name, value in to_tensors(stream.draw(step), device).items()}


def write_pictures(folder: Path, made: dict[str, np.ndarray], suffix: str) -> None:
    """PNG for pictures, mp4 for films."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in made.items():
        if image.ndim == 3:
            runs.write_file(folder / f"{name}{suffix}.png", sheets.png(image))
        else:
            films.write(folder / f"{name}{suffix}.mp4", list(image), fps=20)


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """Within it, numbers below 1e-38 are zero. A GQN's first steps are full of them, and AMD's processors take ten times as
    long over each."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@flushed()
def train(name: str, run: Run, config: Any, env_config: Any) -> Path:
    """Train a learner and leave its run's folder, with the encoder in it.

    Args:
        name: Of the learner.
        run: Options of the run.
        config: The learner's.
        env_config: The environment's.

    Returns:
        The run's folder.

    Raises:
        CaveError: see the module's functions; the line says what to do.
    """
    started = time.monotonic()
    keep_buffers()
    device = resolve_device(run.device)
    precision = resolve_precision(run.precision, device)
    if run.steps:
        config = dataclasses.replace(config, steps=run.steps)
    cast = lambda: autocast(device, precision)
    module = learners.learner(name).Learner
    draw = lambda split, seed, size: envs.stream(
        run.env, env_config, module.batch, split=split, seed=seed, batch_size=size,
        size=(config.image_size, config.image_size), views=views_of(config), device=device,
    )  # fmt: skip
    stream = draw(run.split, run.seed, config.batch_size)
    spec = options.to_dict(stream.spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(run.seed, "weights"))
        # Channels last, as the pictures come, is also how a CPU's convolutions like them.
        learner = module(config, stream.spec).to(device, memory_format=torch.channels_last)
    adams = optimisers(learner, config)

    settings = {
        "command": "learners.train", "learner": name, "model": options.to_dict(config), "spec": spec,
        "run": {n: v for n, v in options.to_dict(run).items() if n not in ("runs", "name", "resume", "half")},
        "env": options.to_dict(env_config), "resolved": {"device": device, "precision": precision},
    }  # fmt: skip
    label = run.name or f"{name}-{run.env}-{run.seed}"
    old = run.runs / label
    before = runs.read_config(old) if run.resume and (old / "config.json").is_file() else {}
    if before and run.steps:  # the number of steps is the one thing that may change
        settings["model"]["steps"], settings["run"]["steps"] = before["model"]["steps"], before["run"]["steps"]
    if run.start_from:
        settings["earlier"] = before.get("earlier") or begin(learner, name, run)
    folder = runs.create(run.runs, label, settings, resume=run.resume)
    first, sums = 0, {}
    if run.resume and (saved := runs.newest_checkpoint(folder)):
        restore(learner, adams, saved.tensors, str(saved.folder))
        first, sums = saved.step, saved.state["sums"]
    elif run.start_from and before:
        begin(learner, name, run)
    if first > config.steps:
        given = f"--steps {config.steps} --resume: {folder} is at step {first} already"
        raise errors.CaveError(f"{given}; give at least as many", errors.USAGE)
    runs.truncate_metrics(folder, first)
    size = sum(p.numel() for p in learner.parameters()) / 1e6
    print(
        f"{name} on {run.env}: {size:.2f} M weights, steps {first} to {config.steps}, batches of {config.batch_size}, {device} "
        f"{precision}, in {folder}",
        flush=True,
    )

    from torch.utils.tensorboard import SummaryWriter

    board = SummaryWriter(str(folder / "tensorboard"), purge_step=first)

    def log(step: int, kind: str, values: dict[str, float]) -> None:
        runs.append_metrics(folder, {"step": step, "kind": kind, "seconds": time.monotonic() - started, **values})
        for key, value in values.items():
            board.add_scalar(f"{kind}/{key}", value, step)

    def look(step: int, last: bool) -> dict[str, float]:
        learner.eval()
        batches = held_out(test if last else watched, run.n_held_out if last else 96, test_size, device)
        with torch.no_grad(), cast():
            figures = learner.evaluate(batches, generator(run.seed, "evaluate", step), last)
            sheet = {n: v[:6] for n, v in to_tensors(test.draw(0), device).items()}
            if last and hasattr(test, "film"):
                sheet |= to_tensors(test.film(np.arange(3), 60), device)
            made = learner.pictures(sheet, generator(run.seed, "pictures", step), last)
        learner.train()
        log(step, "held_out", figures)
        write_pictures(folder / "pictures", made, "" if last else f"-{step:07d}")
        return figures

    test_size = 64
    # What is looked at on the way, and may lead somebody to change settings, is not what the last figure is measured on.
    test = draw("test", run.seed, test_size)
    watched = draw("test", seeds.derive(run.seed, "watched") >> 1, test_size)
    stop = Stop()
    shown, advance = bar(config.steps, first)
    try:
        with shown:
            since, at = time.monotonic(), first
            for step in range(first, config.steps):
                batch = to_tensors(stream.draw(step), device)
                metrics = descend(learner, adams, batch, config, step, run.seed, cast)
                done = step + 1
                for key, value in metrics.items():
                    sums[key] = sums.get(key, 0.0) + value.item() / LOG_EVERY
                if done % LOG_EVERY == 0:
                    rate = (done - at) / (time.monotonic() - since)
                    since, at = time.monotonic(), done
                    log(done, "train", {**sums, "steps_per_second": rate})
                    advance(done, f"loss {sums['loss']:.1f}  {rate:.1f} steps/s")
                    sums = {}
                if done % run.checkpoint_every == 0 or done == config.steps or stop.signal:
                    runs.save_checkpoint(folder, done, state_of(learner, adams), {"sums": sums})
                if stop.signal and done < config.steps:
                    raise SystemExit(128 + stop.signal)
                if done % run.evaluate_every == 0 and done < config.steps:
                    print(f"step {done}: {summary(look(done, last=False))}", flush=True)
                    since, at = time.monotonic(), done
    except SystemExit:
        stop.tell(folder)
        raise
    finally:
        stop.release()
        board.flush()

    figures = look(config.steps, last=True)
    print(f"held out, {run.n_held_out} scenes: {summary(figures)}", flush=True)
    encoder = learner.encoder().to(device)
    with torch.no_grad():
        codes.calibrate(encoder, (as_observations(to_tensors(stream.draw(i), device)) for i in range(16)))
    card = {
        "learner": name, "config": options.to_dict(config), "spec": spec, "env": run.env,
        "env_config": options.to_dict(env_config), "split": run.split, "seed": run.seed, "steps": config.steps,
        "frames": frames_seen(config, config.steps, settings),
        "sensors": list(encoder.sensors), "shape": list(encoder.shape), "metrics": figures,
        "precision": precision, "provenance": json.loads((folder / "provenance.json").read_text()),
    }  # fmt: skip
    learners.save_encoder(folder / "encoder", encoder, card, run.half)
    board.close()
    print(f"encoder in {folder / 'encoder'}, pictures in {folder / 'pictures'}", flush=True)
    return folder


def views_of(config: Any) -> int:
    """Views of a scene that a learner's step wants; 1 for learners of single images."""
    return config.max_context + config.n_queries if hasattr(config, "max_context") else 1


def frames_seen(config: Any, steps: int, settings: dict[str, Any]) -> int:
    """Images that a run of these settings has seen after so many steps, those of the run it started from included."""
    return steps * config.batch_size * views_of(config) + settings.get("earlier", {}).get("frames", 0)


def as_observations(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A stream's batch as sequences of observations, time on axis 1."""
    images, poses = batch["images"], batch["poses"]
    return {
        "image": images if images.ndim == 5 else images[:, None],
        "pose": poses if poses.ndim == 3 else poses[:, None],
    }


def summary(figures: dict[str, float]) -> str:
    """Figures on one line."""
    return "  ".join(f"{name} {value:.2f}" for name, value in sorted(figures.items()))
