"""Run folders and checkpoints: the one module that writes them.

    runs/<name>/
        config.json        what was asked for
        provenance.json    commit, versions, machine, and when it was resumed
        metrics.jsonl      a row a line, each with its `step`
        checkpoints/step-000001000/     *.safetensors, state.json, MANIFEST.json

A folder with a manifest is *whole or absent*: its files are written to a hidden folder beside it, each synced to the
disk, hashed into MANIFEST.json, and the folder is renamed. Whatever kills the process, or fills the disk, leaves the
checkpoint before, and what was half written is swept away by the next writer. A bit that flips later is found by its
hash when read.

Why hashes: safetensors is safe to open but checks no content; of 1,000 files with one flipped bit 978 loaded, wrong.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scenes.kit import errors

MANIFEST = "MANIFEST.json"
_SCHEMA = "cave.manifest/1"
_PACKAGES = ("numpy", "numba", "gymnasium", "mujoco", "torch", "stable-baselines3", "safetensors")
_locks: dict[Path, int] = {}
_numbers = itertools.count()


# Folders that are whole or absent.


def write_atomic(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files with its manifest, whole or not at all; an older one of that name is replaced.

    Args:
        folder: Where; its parents are made.
        files: Plain names (no folders in them) and contents.

    Raises:
        errors.CaveError: the disk is full or refuses; the line names the path, and what was there before still is.
    """
    folder = Path(folder)
    hashes = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = json.dumps({"schema": _SCHEMA, "files": hashes}, sort_keys=True, separators=(",", ":"))
    _publish(folder, {**files, MANIFEST: manifest.encode()})


def read_checked(folder: Path) -> dict[str, bytes]:
    """The files of a folder that `write_atomic` wrote, without the manifest, after checking every hash.

    Raises:
        errors.CaveError: a file is missing, truncated or altered, or there is no manifest; the line names the file.
    """
    folder = Path(folder)
    if not folder.exists() and _old(folder).is_dir():
        folder = _old(folder)  # its replacement was cut short; putting it back is for who writes here next
    named = folder / MANIFEST
    try:
        text = _read(named).decode()
        manifest = json.loads(text)
        listed = {
            _plain(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()
        }
        # Anything but the very text that would be written today was altered.
        intact = manifest["schema"] == _SCHEMA and text == json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise errors.CaveError(f"{named} is damaged: it is not a manifest of hashes")
    files = {}
    for name, (size, digest) in listed.items():
        data = _read(folder / name)
        if len(data) != size:
            raise errors.CaveError(f"{folder / name} is damaged: it has {len(data)} bytes, its manifest says {size}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise errors.CaveError(f"{folder / name} is damaged: its SHA-256 is not the one in its manifest")
        files[name] = data
    return files


def write_file(path: Path, data: bytes) -> None:
    """Write one file, whole or not at all; an older one is replaced in one step.

    Raises:
        errors.CaveError: the disk is full or refuses.
    """
    path = Path(path)
    if not path.name or path.is_dir():
        raise errors.CaveError(f"cannot write {path}: it is a folder, wanted a file's name", errors.USAGE)
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, data)
        os.rename(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _publish(folder: Path, files: Mapping[str, bytes]) -> None:
    temporary, old = _temporary(folder), _old(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        temporary.mkdir()
        for name, data in files.items():
            _write(temporary / _plain(name), data)
        _sync_folder(temporary)
        if folder.exists():
            # A full folder cannot be renamed over: between the two renames the old one is found by `_recover`.
            shutil.rmtree(old, ignore_errors=True)
            os.rename(folder, old)
        os.rename(temporary, folder)
        _sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            _recover(folder)


def _recover(folder: Path) -> None:
    """Put back a folder whose replacement was cut short."""
    if _old(folder).is_dir() and not folder.exists():
        os.rename(_old(folder), folder)


def _old(folder: Path) -> Path:
    """Where a folder lies for the moment in which its replacement is moved in."""
    return folder.with_name(f".{folder.name}.old")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp-{os.getpid()}-{next(_numbers)}")


def _sweep(folder: Path, pattern: str = ".*.tmp-*") -> None:
    """Remove what killed writers left in a folder."""
    for left in folder.glob(pattern):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _plain(name: str) -> str:
    if not name or name != os.path.basename(name) or name.startswith("."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


def _write(path: Path, data: bytes) -> None:
    """A new file, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        view = memoryview(data)
        while len(view):
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make names that were added to a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise errors.CaveError(f"{path} is missing") from None
    except OSError as error:
        raise errors.CaveError(f"cannot read {path}: {error.strerror or error}") from error


def _refused(path: Path, error: OSError) -> errors.CaveError:
    near = next((folder for folder in path.parents if folder.exists()), Path("."))
    free = shutil.disk_usage(near).free >> 20
    return errors.CaveError(f"cannot write {path}: {error.strerror or error} ({free} MiB free); nothing was lost")


# Tensors as bytes.


def save_tensors(tensors: Mapping[str, Any]) -> bytes:
    """Numpy arrays or torch tensors (any device, any strides) as the bytes of a safetensors file.

    The order of the names makes no difference. Where one is bfloat16, which numpy lacks, all must be tensors.
    """
    import safetensors.numpy

    if any(str(getattr(value, "dtype", "")) == "torch.bfloat16" for value in tensors.values()):
        import safetensors.torch

        return safetensors.torch.save({n: v.detach().cpu().contiguous().clone() for n, v in tensors.items()})
    arrays = {n: v.detach().cpu().numpy() if hasattr(v, "detach") else v for n, v in tensors.items()}
    return safetensors.numpy.save({name: np.asarray(value, order="C") for name, value in arrays.items()})


def load_tensors(data: bytes) -> dict[str, Any]:
    """What `save_tensors` wrote, as numpy arrays; as torch tensors if some are bfloat16, which numpy lacks.

    Raises:
        errors.CaveError: the bytes are not a safetensors file.
    """
    import safetensors
    import safetensors.numpy

    try:
        size = int.from_bytes(data[:8], "little")
        if b'"BF16"' in data[8 : 8 + size]:
            import safetensors.torch

            return safetensors.torch.load(data)
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise errors.CaveError(f"these are not safetensors: {error}") from None


# Runs.


def create(root: Path, name: str, config: dict, resume: bool = False) -> Path:
    """Make the folder of a run, or with `resume` open one that is there, and lock it for this process.

    Args:
        root: Folder of all runs.
        name: A plain name.
        config: JSON tree of everything the run was asked for.
        resume: Go on with the run of that name; its `config` must be this one.

    Returns:
        The run's folder.

    Raises:
        errors.CaveError: the run is there and `resume` is not asked for, or the reverse; it was made with another
            config (the first difference is named); another process is writing it; the disk refuses.
    """
    run = Path(root) / name
    try:
        _plain(name)
    except ValueError:
        raise errors.CaveError(f"a run's name is one plain word, not {name!r}", errors.USAGE) from None
    config = json.loads(json.dumps(config))
    if not resume:
        if run.exists():
            raise errors.CaveError(f"{run} is there already: go on with --resume, or give another --name", errors.USAGE)
        _sweep(Path(root), f".{name}.tmp-*")
        _publish(run, {"config.json": _json(config), "provenance.json": _json(provenance())})
        _lock(run)
        return run
    if not run.is_dir():
        there = [path.parent.name for path in Path(root).glob("*/config.json")]
        known = errors.unknown("run", name, there) if there else f"there is no run {run} to resume"
        raise errors.CaveError(f"{known}; leave out --resume to start it", errors.USAGE)
    different = _difference(read_config(run), config)
    if different:
        raise errors.CaveError(f"{run} was made with {different}: resume it so, or give another --name", errors.USAGE)
    _lock(run)
    for folder in (run, *(path for path in run.iterdir() if path.is_dir())):
        _sweep(folder)
    known = _tree(run / "provenance.json")
    known.setdefault("resumed", []).append(provenance())
    write_file(run / "provenance.json", _json(known))
    return run


def read_config(run: Path) -> dict:
    """The `config` with which a run was created.

    Raises:
        errors.CaveError: there is no such run, or its config.json is not JSON.
    """
    run = Path(run)
    if not run.is_dir():
        raise errors.unknown("run", str(run), [str(path.parent) for path in run.parent.glob("*/config.json")])
    return _tree(run / "config.json")


def provenance() -> dict:
    """Where and with what this process runs: commit, command, versions, machine, time."""
    root = Path(__file__).parents[2]
    commit = None
    if (root / ".git").exists():
        try:
            ask = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
            commit = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            commit = None  # no git here, or not a checkout of ours
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    torch = sys.modules.get("torch")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit,
        "versions": versions,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpu": _cpu(),
            "n_cores": os.cpu_count(),
            "n_threads": torch.get_num_threads() if torch else None,
        },
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _lock(run: Path) -> None:
    """Hold a run until this process ends; the system lets go of it even after SIGKILL."""
    where, file = run.resolve(), run / ".lock"
    if where in _locks:
        # Opening the file again and closing it would let go of the lock, so it is held open.
        if file.exists() and os.path.samestat(os.fstat(_locks[where]), file.stat()):
            return
        os.close(_locks.pop(where))  # the run was deleted meanwhile, and made anew
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refused(file, error) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(descriptor)
            told = f"{run} is being written by another process: wait for it, or give another --name"
            raise errors.CaveError(told, errors.USAGE) from None
        # A file system without locks: go on without.
    _locks[where] = descriptor


def _tree(path: Path) -> dict:
    try:
        tree = json.loads(_read(path))
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise errors.CaveError(f"{path} is damaged: it is not a JSON table")
    return tree


def _json(tree: Any) -> bytes:
    return (json.dumps(tree, indent=2, sort_keys=True) + "\n").encode()


def _difference(old: Any, new: Any, where: str = "") -> str:
    """The first difference between two JSON trees, in words; empty if they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            found = _difference(old.get(name), new.get(name), f"{where}.{name}" if where else name)
            if found:
                return found
        return ""
    return "" if old == new else f"{where} = {json.dumps(old)}, now {json.dumps(new)}"


# Metrics.


def append_metrics(run: Path, row: Mapping[str, Any]) -> None:
    """Add one row, with its `step`, to metrics.jsonl, in one write.

    Raises:
        errors.CaveError: the disk is full or refuses.
    """
    path = Path(run) / "metrics.jsonl"
    line = (json.dumps(row, default=float) + "\n").encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, line)
            if written != len(line):
                os.write(descriptor, line[written:])
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refused(path, error) from error


def read_metrics(run: Path) -> list[dict]:
    """The rows of a run; a last line that was cut short is left out."""
    path = Path(run) / "metrics.jsonl"
    rows = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows += [row] if isinstance(row, dict) else []
    return rows


def truncate_metrics(run: Path, step: int) -> None:
    """Drop rows after `step`, which a resumed run will write again, and a last line that was cut short."""
    path = Path(run) / "metrics.jsonl"
    if path.exists():
        kept = [row for row in read_metrics(run) if row.get("step", 0) <= step]
        write_file(path, "".join(json.dumps(row) + "\n" for row in kept).encode())


# Checkpoints.


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What `save_checkpoint` was given."""

    folder: Path
    step: int
    tensors: dict[str, dict[str, Any]]
    """Groups by name, each a dict of arrays."""
    state: dict
    """Whatever else, as JSON."""


def save_checkpoint(run: Path, step: int, tensors: Mapping[str, Mapping[str, Any]], state: dict) -> Path:
    """Write the checkpoint of a step; keep it and the one before, remove the others.

    Args:
        run: The run's folder.
        step: Steps done.
        tensors: Groups of arrays or tensors; each becomes a safetensors file of that name.
        state: JSON tree.

    Returns:
        The checkpoint's folder.

    Raises:
        errors.CaveError: the disk is full or refuses; the checkpoints before are untouched.
    """
    shelf = Path(run) / "checkpoints"
    folder = shelf / f"step-{step:09d}"
    files = {f"{name}.safetensors": save_tensors(group) for name, group in tensors.items()}
    try:
        _sweep(shelf)
        write_atomic(folder, files | {"state.json": _json({"step": step, "state": state})})
        # Later steps than this one are left over from a time line that was found damaged and abandoned.
        earlier = [path for path in _shelf(run) if path.name < folder.name]
        for path in _shelf(run):
            if path not in (folder, *earlier[-1:]):
                shutil.rmtree(path)
    except OSError as error:
        raise _refused(folder, error) from error
    return folder


def made_by(run: Path) -> str:
    """The command that made a run, such as `learners.train`; empty for a folder that is no run."""
    try:
        return str(_tree(Path(run) / "config.json").get("command", ""))
    except errors.CaveError:
        return ""


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """The newest checkpoint that is complete and intact; None if there is none at all.

    A damaged one is named in one line on standard error, and the one before is taken.

    Raises:
        errors.CaveError: there are checkpoints, and all are damaged.
    """
    fault = None
    for folder in reversed(_shelf(run)):
        try:
            files = read_checked(folder)
            record = json.loads(files.pop("state.json"))
            tensors = {name.removesuffix(".safetensors"): load_tensors(data) for name, data in files.items()}
            return Checkpoint(folder, record["step"], tensors, record["state"])
        except (errors.CaveError, KeyError, ValueError) as error:
            fault = error
            print(f"warning: {error}; trying the checkpoint before", file=sys.stderr)
    if fault is not None:
        raise errors.CaveError(f"every checkpoint of {run} is damaged, the oldest so: {fault}")
    return None


def _shelf(run: Path) -> list[Path]:
    shelf = Path(run) / "checkpoints"
    for old in shelf.glob(".step-*.old"):
        _recover(shelf / old.name[1:-4])
    return sorted(shelf.glob("step-*"))
