"""Run folders survive: every write, sync and rename fails once, every bit flips once, and nothing old is lost."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes.kit import errors, runs

FILES = {"a.bin": bytes(range(200)), "b.json": b'{"x": 1}\n'}


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tensors(step):
    return {"model": {"w": np.full((3, 4), step, np.float32), "n": np.array(step)}, "adam": {"m": np.zeros(5)}}


class Fails:
    """Stand in the way of one system call: the k-th call of the process fails."""

    def __init__(self, monkeypatch, name, k, code=errno.ENOSPC, short=False):
        real, self.calls = getattr(os, name), 0

        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == k:
                if short:  # a disk that takes half and then is full
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)


def test_folder_round_trip_and_replacement(tmp_path):
    folder = tmp_path / "deep" / "encoder"
    runs.write_atomic(folder, FILES)
    assert runs.read_checked(folder) == FILES
    runs.write_atomic(folder, {"c": b""})
    assert runs.read_checked(folder) == {"c": b""}
    assert [path.name for path in folder.parent.iterdir()] == ["encoder"]
    for odd in ("../x", "a/b", ".hidden", ""):
        with pytest.raises(ValueError, match="plain"):
            runs.write_atomic(folder, {odd: b""})


@pytest.mark.parametrize("name", ["write", "fsync", "rename", "open", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_every_call_may_fail_and_the_old_folder_stands(tmp_path, monkeypatch, name, code):
    folder = tmp_path / "encoder"
    runs.write_atomic(folder, FILES)
    new = {"a.bin": b"new" * 100, "c.bin": b"c"}
    for k in range(1, 20):
        with monkeypatch.context() as patch:
            fails = Fails(patch, name, k, code, short=name == "write")
            try:
                runs.write_atomic(folder, new)
                failed = False
            except errors.CaveError as error:
                failed = True
                assert str(folder) in str(error) and os.strerror(code) in str(error)
        # Making a folder that is there and emptying an old one may fail unnoticed.
        assert failed or fails.calls < k or name in ("open", "mkdir")
        # All new once the last rename was reached, all old before: never a mixture, never nothing.
        assert runs.read_checked(folder) in (FILES, new)
        assert not list(tmp_path.glob(".*.tmp-*"))
        if fails.calls < k:
            break
        runs.write_atomic(folder, FILES)
    else:
        pytest.fail(f"os.{name} is called without end")
    assert k > 1 and runs.read_checked(folder) == new


def test_folder_is_found_between_the_two_renames(tmp_path):
    folder = tmp_path / "encoder"
    runs.write_atomic(folder, FILES)
    folder.rename(tmp_path / ".encoder.old")  # killed just here
    assert runs.read_checked(folder) == FILES
    runs.write_atomic(folder, {"c": b"c"})
    assert runs.read_checked(folder) == {"c": b"c"} and len(list(tmp_path.iterdir())) == 1


def test_every_flipped_bit_is_found(tmp_path):
    folder = tmp_path / "x"
    runs.write_atomic(folder, {"a.bin": bytes(range(40))})
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for bit in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            with pytest.raises(errors.CaveError, match=r"damaged|missing"):
                runs.read_checked(folder)
        path.write_bytes(whole)
    assert runs.read_checked(folder) == {"a.bin": bytes(range(40))}


def test_truncated_and_missing_files_are_named(tmp_path):
    folder = tmp_path / "x"
    runs.write_atomic(folder, FILES)
    for name in (*FILES, runs.MANIFEST):
        path = folder / name
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(errors.CaveError, match=name):
                runs.read_checked(folder)
        path.unlink()
        with pytest.raises(errors.CaveError, match=f"{name} is missing"):
            runs.read_checked(folder)
        path.write_bytes(whole)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
@settings(max_examples=100, deadline=None)
def test_any_manifest_is_refused_in_one_line(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("m")
    for tree in (content, {"schema": "cave.manifest/1", "files": content}, {"files": {"../x": content}}):
        data = tree if isinstance(tree, bytes) else json.dumps(tree, default=repr).encode()
        (folder / runs.MANIFEST).write_bytes(data)
        if tree == {"schema": "cave.manifest/1", "files": {}}:
            continue
        with pytest.raises(errors.CaveError, match=r"damaged|missing"):
            runs.read_checked(folder)


def test_deeply_nested_manifest_is_refused(tmp_path):
    (tmp_path / runs.MANIFEST).write_text("[" * 200_000)
    with pytest.raises(errors.CaveError, match="damaged"):
        runs.read_checked(tmp_path)


def test_tensors_round_trip():
    torch = pytest.importorskip("torch")
    given_ = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "n": np.array(3),
        "b": np.array([True]),
        "e": np.zeros(0),
    }
    back = runs.load_tensors(runs.save_tensors(given_))
    for name, value in given_.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)
    half = {"h": torch.ones(2, 3).bfloat16().T, "f": torch.zeros(2, dtype=torch.float16, requires_grad=True)}
    back = runs.load_tensors(runs.save_tensors(half))
    assert back["h"].dtype == torch.bfloat16 and back["h"].shape == (3, 2) and back["f"].dtype == torch.float16
    assert runs.save_tensors(given_) == runs.save_tensors(dict(reversed(given_.items())))
    for bad in (b"", b"x" * 30, runs.save_tensors(given_)[:-1]):
        with pytest.raises(errors.CaveError, match="not safetensors"):
            runs.load_tensors(bad)


def test_checkpoints_keep_the_newest_two(tmp_path):
    run = runs.create(tmp_path, "r", {})
    assert runs.newest_checkpoint(run) is None
    for step in (5, 10, 200):
        runs.save_checkpoint(run, step, tensors(step), {"lr": 0.5})
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-000000010", "step-000000200"]
    found = runs.newest_checkpoint(run)
    assert (found.step, found.state) == (200, {"lr": 0.5})
    assert found.tensors.keys() == {"model", "adam"} and (found.tensors["model"]["w"] == 200).all()


def test_damaged_checkpoint_falls_back_and_is_replaced(tmp_path, capsys):
    run = runs.create(tmp_path, "r", {})
    for step in (1, 2, 3):
        runs.save_checkpoint(run, step, tensors(step), {})
    path = run / "checkpoints" / "step-000000003" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert runs.newest_checkpoint(run).step == 2
    told = capsys.readouterr().err.strip()
    assert str(path) in told and "\n" not in told
    # Going on from 2, the next save keeps itself and 2, and not the damaged one.
    runs.save_checkpoint(run, 3, tensors(33), {})
    assert (runs.newest_checkpoint(run).tensors["model"]["w"] == 33).all()
    for folder in (run / "checkpoints").iterdir():
        (folder / "state.json").unlink()
    with pytest.raises(errors.CaveError, match=r"every checkpoint.*state.json is missing"):
        runs.newest_checkpoint(run)


@pytest.mark.parametrize("name", ["write", "fsync", "rename"])
def test_failing_save_leaves_the_checkpoint_before(tmp_path, monkeypatch, name):
    run = runs.create(tmp_path, "r", {})
    runs.save_checkpoint(run, 1, tensors(1), {})
    k = 0
    while True:
        k += 1
        with monkeypatch.context() as patch:
            fails = Fails(patch, name, k, short=name == "write")
            try:
                runs.save_checkpoint(run, 2, tensors(2), {})
            except errors.CaveError:
                assert runs.newest_checkpoint(run).step in (1, 2)
                assert not list((run / "checkpoints").glob(".*"))
                continue
        assert fails.calls < k
        break
    assert k > 1 and runs.newest_checkpoint(run).step == 2


LOOP = """
import sys, numpy as np
from pathlib import Path
from scenes.kit import runs
run = runs.create(Path(sys.argv[1]), "r", {}, resume=Path(sys.argv[1], "r").exists())
found = runs.newest_checkpoint(run)
step = found.step if found else 0
runs.truncate_metrics(run, step)
print(step, flush=True)
while True:
    step += 1
    runs.append_metrics(run, {"step": step})
    runs.save_checkpoint(run, step, {"m": {"w": np.full(200_000, step, np.float32)}}, {})
    print(step, flush=True)
"""


def test_killed_at_any_instant(tmp_path):
    """SIGKILL while saving without pause: the newest saved checkpoint is always found, whole."""
    rng, said = np.random.default_rng(0), 0
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", LOOP, tmp_path], stdout=subprocess.PIPE, text=True)
        began = int(process.stdout.readline())
        assert began in (said, said + 1)  # one more may have been saved than was said
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        lines = process.communicate()[0].split("\n")[:-1]
        said = int(lines[-1]) if lines else began
    found = runs.newest_checkpoint(tmp_path / "r")
    assert found.step in (said, said + 1) and (found.tensors["m"]["w"] == found.step).all()
    steps = [row["step"] for row in runs.read_metrics(tmp_path / "r")]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) - found.step in (0, 1)


def test_full_disk_is_one_line(tmp_path):
    """A real limit on the file size, in a process of its own."""
    code = (
        "import resource, signal, numpy as np; from pathlib import Path; from scenes.kit import options, runs\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "def main(argv):\n"
        f"    run = runs.create(Path({str(tmp_path)!r}), 'r', {{}})\n"
        "    runs.save_checkpoint(run, 1, {'m': {'w': np.zeros(10)}}, {})\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "    runs.save_checkpoint(run, 2, {'m': {'w': np.zeros(10_000)}}, {})\n"
        "options.main(main)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: cannot write ")
    assert "step-000000002" in done.stderr
    assert runs.newest_checkpoint(tmp_path / "r").step == 1
    assert [path.name for path in (tmp_path / "r" / "checkpoints").iterdir()] == ["step-000000001"]


def test_create_and_resume(tmp_path):
    config = {"model": {"layers": 3, "sizes": (1, 2)}}
    run = runs.create(tmp_path, "r", config)
    assert runs.read_config(run) == {"model": {"layers": 3, "sizes": [1, 2]}}
    before = everything(run)
    for name, tree, resume, told in (
        ("r", config, False, "go on with --resume"),
        ("s", config, True, "unknown run 's'"),
        ("r", {"model": {"layers": 4, "sizes": (1, 2)}}, True, r"model\.layers = 3, now 4"),
        ("r", {}, True, "model"),
        ("../r", config, False, "one plain word"),
    ):
        with pytest.raises(errors.CaveError, match=told) as caught:
            runs.create(tmp_path, name, tree, resume)
        assert caught.value.code == errors.USAGE
    assert everything(run) == before
    (run / ".x.tmp-1-0").mkdir()
    assert runs.create(tmp_path, "r", config, resume=True) == run
    assert not (run / ".x.tmp-1-0").exists()
    assert len(json.loads((run / "provenance.json").read_text())["resumed"]) == 1
    (run / "config.json").write_text("[]")
    with pytest.raises(errors.CaveError, match=r"config\.json is damaged"):
        runs.create(tmp_path, "r", config, resume=True)


def test_two_processes_cannot_write_one_run(tmp_path):
    runs.create(tmp_path, "r", {})
    code = (
        f"from pathlib import Path; from scenes.kit import runs; runs.create(Path({str(tmp_path)!r}), 'r', {{}}, True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process" in done.stderr


def test_metrics_lose_only_what_comes_again(tmp_path):
    run = runs.create(tmp_path, "r", {})
    for step in range(6):
        runs.append_metrics(run, {"step": step, "loss": np.float32(step) / 2})
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 6, "lo')  # killed while writing
    runs.truncate_metrics(run, 3)
    runs.append_metrics(run, {"step": 4})
    assert [row["step"] for row in runs.read_metrics(run)] == [0, 1, 2, 3, 4]
    assert runs.read_metrics(Path(tmp_path)) == []


def test_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    runs.write_file(path, b"old")
    for name in ("write", "fsync", "rename"):
        with monkeypatch.context() as patch, pytest.raises(errors.CaveError, match="report"):
            Fails(patch, name, 1, short=name == "write")
            runs.write_file(path, b"new")
        assert everything(tmp_path) == {Path("report.html"): b"old"}
    runs.write_file(path, b"new")
    assert path.read_bytes() == b"new"
