"""What files may hold, what they become, and how a bad one is named."""

import dataclasses
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from scenes.kit import errors

BYTES = 64 * 2**20
"""Of a file."""
LINES = 2**23
"""Of a text, each of at most `LINE` bytes."""
LINE = 2**16
CORNERS = 2**21
"""Vertices of a mesh, and faces of it."""
REACH = 1e7
"""Largest coordinate, either way."""
PIXELS = 2**24
"""Of a picture."""
EDGE = 2**14
"""Rows or columns of a picture."""
MATERIALS = 256
"""Of a mesh."""
ELEMENTS = 10**5
"""Of an XML file; and what lies within another, the deepest as deep as `DEPTH`."""
DEPTH = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """How faces look."""

    name: str = ""
    colour: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Red, green, blue and opacity, in [0, 1]."""
    picture: UInt8[np.ndarray, "h w c"] | None = None
    """Multiplies the colour; row 0 is the top, which is where v is 1."""


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A mesh as a file had it, in triangles."""

    vertices: Float32[np.ndarray, "n 3"]
    faces: Int32[np.ndarray, "m 3"]
    """Counter-clockwise seen from outside."""
    normals: Float32[np.ndarray, "n 3"] | None = None
    """Unit vectors, one a vertex, where the file has them for all."""
    coordinates: Float32[np.ndarray, "n 2"] | None = None
    """Where in the picture each vertex lies: u to the right, v upwards, both in [0, 1] within it."""
    material: Int32[np.ndarray, " m"] | None = None
    """Which of `materials` each face has, -1 for none; no array where no face has any."""
    materials: tuple[Material, ...] = ()
    part: Int32[np.ndarray, " m"] | None = None
    """Which of the parts that the file tells apart (an OBJ's objects and groups) each face is of, where there are any."""


def fail(path: Path, where: str, what: str) -> errors.CaveError:
    """The error for a bad file: which, where in it, and what is accepted instead."""
    return errors.CaveError(f"{path}{', ' if where else ''}{where}: {what}")


def contents(path: Path, most: int = BYTES) -> bytes:
    """The bytes of an ordinary file.

    Raises:
        errors.CaveError: there is none, it cannot be read, or it is larger than `most` bytes.
    """
    try:
        # A pipe would wait for its writer for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise fail(path, "", "it is not an ordinary file")
            if found.st_size > most:
                raise fail(path, "", f"it has {found.st_size} bytes, at most {most} are read")
            return file.read(found.st_size)
    except OSError as error:
        said = errno.errorcode.get(error.errno, "") if error.errno else ""
        raise fail(path, "", f"it cannot be read ({error.strerror or said})") from None
    except ValueError:
        raise errors.CaveError(f"{str(path)!r}: no file has such a name") from None


def lines(data: bytes, path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of a text as numbers, from 1, and words; a backslash at its end joins a line to the next.

    Raises:
        errors.CaveError: there are too many, or one is too long.
    """
    begun: list[bytes] = []
    # One by one: a list of all would take twenty times the bytes of a file that is nothing but ends of lines.
    for at, line in enumerate(io.BytesIO(data), 1):
        if at > LINES or len(line) > LINE or len(begun) > LINE:
            raise fail(path, f"line {at}", f"wanted at most {LINES} lines of {LINE} bytes")
        words = begun + line.split()
        begun = []
        if words and words[-1].endswith(b"\\"):
            begun = [*words[:-1], words[-1][:-1]] if len(words[-1]) > 1 else words[:-1]
            continue
        if words:
            yield at, words
    if begun:
        yield at, begun


def shown(words: list[bytes]) -> str:
    """The beginning of a line, to name it."""
    return repr(b" ".join(words)[:40].decode("ascii", "replace"))


def inside(root: Path, folder: Path, name: str, path: Path, where: str) -> Path:
    """Where a file lies that `path` refers to by `name`, seen from `folder`.

    Raises:
        errors.CaveError: that is not within `root`, also by way of a link.
    """
    try:
        found = (folder / name).resolve()
        held = found.is_relative_to(root.resolve())
        found.exists()  # asks whether the name is one at all
    except (ValueError, OSError, RuntimeError):
        raise fail(path, where, f"{name[:200]!r} is not a file's name") from None
    if not held:
        raise fail(path, where, f"{name[:200]!r} lies outside of {root}, within which all files must lie")
    return found


def finish(
    path: Path,
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    coordinates: np.ndarray | None = None,
    material: np.ndarray | None = None,
    materials: tuple[Material, ...] = (),
    part: np.ndarray | None = None,
) -> Model:
    """Arrays as a `Model`, checked.

    Raises:
        errors.CaveError: there are no faces, indices out of range, or numbers that are not finite or too large.
    """
    counted(path, "", len(vertices), len(faces))
    if not len(faces):
        raise fail(path, "", "it holds no faces, wanted at least one")
    for name, array in (("vertex", vertices), ("texture coordinate", coordinates)):
        if array is None:
            continue
        bad = ~(np.abs(array) <= REACH).all(1)
        if bad.any():
            i = int(bad.argmax())
            raise fail(path, f"{name} {i}", f"it is {array[i].tolist()}, wanted finite numbers within {REACH:g}")
    bad = ((faces < 0) | (faces >= len(vertices))).any(1)
    if bad.any():
        i = int(bad.argmax())
        raise fail(path, f"face {i}", f"it has corners {faces[i].tolist()}, wanted 0 to {len(vertices) - 1}")
    if normals is not None:
        length = np.linalg.norm(np.asarray(normals, np.float64), axis=1, keepdims=True)
        # Some programs write zeros where they had nothing to say.
        normals = normals / length if (np.isfinite(length) & (length > 1e-9)).all() else None
    as_float = lambda array: None if array is None else np.ascontiguousarray(array, np.float32)
    return Model(
        as_float(vertices), np.ascontiguousarray(faces, np.int32), as_float(normals), as_float(coordinates),
        None if material is None or (material < 0).all() else np.ascontiguousarray(material, np.int32), materials,
        None if part is None or not part.any() else np.ascontiguousarray(part, np.int32),
    )  # fmt: skip


def counted(path: Path, where: str, n_vertices: int, n_faces: int) -> None:
    """Raise CaveError if a mesh has, or says that it has, too many vertices or faces."""
    for name, n in (("vertices", n_vertices), ("faces", n_faces)):
        if not 0 <= n <= CORNERS:
            raise fail(path, where, f"it has {n} {name}, at most {CORNERS} are read")
