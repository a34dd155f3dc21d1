"""Frames to an mp4 that is known to be good: written aside, reopened, counted, and only then put in its place.

Why ffmpeg's program is driven directly: imageio's reader and writer leave their pipes to the garbage collector, and a
film that failed half-way must have let go of its file before anything is tidied up.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from scenes.kit import errors


def write(path: Path, frames: list[np.ndarray], fps: float = 15.0) -> None:
    """Write an H.264 film and make sure of it.

    What was asked for appears under its name only after the file was reopened and its frames counted and measured. When
    anything goes wrong there is no stump, and a film that was there before is still there.

    Args:
        path: Where; must end in `.mp4`, in a folder that exists.
        frames: At least one, all of one shape h w 3, uint8, h and w even (H.264 halves its colours).
        fps: Frames a second.

    Raises:
        CaveError: in one line, for all that can go wrong: no frames, odd or unequal sizes, no ffmpeg, no room, no
            right.
    """
    path = Path(path)
    check_name(path)
    _check(frames)
    part = path.with_name(f".{path.stem}.part.mp4")
    try:
        _encode(part, frames, fps)
        _verify(part, frames)
        part.replace(path)
    except OSError as error:
        raise errors.CaveError(f"{path} could not be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_name(path: Path) -> None:
    """Raise CaveError unless a film could be written under this name: ends in .mp4, in a folder that exists."""
    if path.suffix != ".mp4":
        raise errors.CaveError(f"{path} does not end in .mp4: only that is written", errors.USAGE)
    if not path.parent.is_dir():
        raise errors.CaveError(f"folder {path.parent} does not exist: make it or choose another --out", errors.USAGE)


def reopened(path: Path) -> Iterator[np.ndarray]:
    """The frames of a film as ffmpeg decodes them, shape h w 3, uint8; OSError with ffmpeg's words when it cannot."""
    command = [_ffmpeg(), "-v", "error", "-i", str(path), "-f", "image2pipe", "-c:v", "ppm", "-"]
    with _started(command, stdout=subprocess.PIPE) as (process, complaints):
        # Each picture says its own size: "P6", width and height, 255, then the bytes.
        while process.stdout.readline().strip() == b"P6":
            width, height = map(int, process.stdout.readline().split())
            process.stdout.readline()
            data = process.stdout.read(width * height * 3)
            if len(data) == width * height * 3:
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        _finish(process, complaints)


def _check(frames: list[np.ndarray]) -> None:
    if not frames:
        raise errors.CaveError("a film needs at least one frame")
    shape = frames[0].shape
    if len(shape) != 3 or shape[2] != 3 or shape[0] % 2 or shape[1] % 2 or 0 in shape:
        raise errors.CaveError(f"frames have shape {shape}: wanted (h, w, 3) with h and w even")
    for index, frame in enumerate(frames):
        if frame.shape != shape or frame.dtype != np.uint8:
            raise errors.CaveError(f"frame {index} is {frame.dtype} {frame.shape}: wanted uint8 {shape} like the first")


def _encode(path: Path, frames: list[np.ndarray], fps: float) -> None:
    height, width = frames[0].shape[:2]
    command = [_ffmpeg(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", str(fps), "-i", "-", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18"]
    command += ["-movflags", "+faststart", str(path)]
    with _started(command, stdin=subprocess.PIPE) as (process, complaints):
        try:
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg gave up; its own words say why
        _finish(process, complaints)


def _verify(path: Path, frames: list[np.ndarray]) -> None:
    count = 0
    for frame in reopened(path):
        if frame.shape != frames[0].shape:
            raise OSError(f"reopened, frame {count} has shape {frame.shape}, wanted {frames[0].shape}")
        count += 1
    if count != len(frames):
        raise OSError(f"reopened, it holds {count} frames, wanted {len(frames)}")


def _ffmpeg() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise errors.CaveError(f"there is no ffmpeg ({error}): pip install imageio-ffmpeg brings one") from None


@contextlib.contextmanager
def _started(command: list[str], **pipes) -> Iterator[tuple[subprocess.Popen, object]]:
    # Complaints go to a file and not to a pipe, which could fill up while nobody reads it.
    with tempfile.TemporaryFile() as complaints, subprocess.Popen(command, stderr=complaints, **pipes) as process:
        try:
            yield process, complaints
        finally:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()


def _finish(process: subprocess.Popen, complaints) -> None:
    if process.wait() != 0:
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise OSError(f"ffmpeg stopped with {process.returncode}: {said[-1]}")
