"""PLY: elements with properties that a header declares, as text or in binary. Colours of vertices are left aside."""

import dataclasses
import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scenes.geometry.reading import limits

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_HEADER = 2**16
_MOST_CORNERS = 255


@dataclasses.dataclass
class _Element:
    name: str
    n: int
    properties: list[tuple[str, str, str]]
    """Name, type, and type of the count where it is a list."""


def read(data: bytes, path: Path) -> limits.Model:
    """The mesh of a PLY file's bytes; polygons are cut into fans.

    Raises:
        errors.CaveError: in one line.
    """
    order, elements, start = _header(data, path)
    rows: dict[str, dict[str, np.ndarray]] = {}
    body = data[start:]
    words = (word for _, found in limits.lines(body, path) for word in found) if order == "" else iter(())
    at = 0
    for element in elements:
        if order == "":
            table = _from_text(element, words, path)
        else:
            table, at = _from_binary(element, body, at, order, path)
        rows.setdefault(element.name, table)
        if {"vertex", "face"} <= set(rows):
            break
    vertex = rows.get("vertex", {})
    if not {"x", "y", "z"} <= set(vertex):
        raise limits.fail(path, "header", "wanted an element vertex with properties x, y and z")
    faces = rows.get("face", {}).get("vertex_indices", rows.get("face", {}).get("vertex_index"))
    if faces is None:
        raise limits.fail(path, "header", "wanted an element face with a list vertex_indices")
    stacked = lambda *names: np.stack([vertex[name] for name in names], 1) if set(names) <= set(vertex) else None
    pairs = (stacked(*names) for names in (("s", "t"), ("u", "v"), ("texture_u", "texture_v")))
    coordinates = next((pair for pair in pairs if pair is not None), None)
    return limits.finish(path, stacked("x", "y", "z"), faces, stacked("nx", "ny", "nz"), coordinates)


def _header(data: bytes, path: Path) -> tuple[str, list[_Element], int]:
    """Byte order ('' for text), elements, and where the header ends."""
    end = data.find(b"end_header", 0, _HEADER)
    newline = data.find(b"\n", end) if end >= 0 else -1
    if not data.startswith(b"ply") or newline < 0:
        raise limits.fail(path, "header", f"wanted 'ply' first and 'end_header' within {_HEADER} bytes")
    order, elements = None, []
    for at, line in enumerate(data[:end].decode("ascii", "replace").splitlines(), 1):
        words = line.split()
        try:
            if not words or words[0] in ("ply", "comment", "obj_info"):
                continue
            if words[0] == "format":
                order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
            elif words[0] == "element":
                elements.append(_Element(words[1], int(words[2]), []))
                limits.counted(path, f"line {at}", elements[-1].n, 0)
            elif words[0] == "property" and words[1] == "list":
                elements[-1].properties.append((words[4], _TYPES[words[3]], _TYPES[words[2]]))
            elif words[0] == "property":
                elements[-1].properties.append((words[2], _TYPES[words[1]], ""))
            else:
                raise ValueError
            if len(elements) > 16 or (elements and len(elements[-1].properties) > 64):
                raise ValueError
        except (KeyError, IndexError, ValueError):
            raise limits.fail(path, f"line {at}", f"{line[:40]!r} is not a line of a PLY header") from None
    for element in elements:
        names = [name for name, _, _ in element.properties]
        if len(set(names)) < len(names) or (element.n and not names):
            raise limits.fail(path, "header", f"element {element.name[:40]!r} has no properties, or one twice")
    if order is None:
        raise limits.fail(path, "header", "wanted a format: ascii, binary_little_endian or binary_big_endian")
    return order, elements, newline + 1


def _short(path: Path, element: _Element) -> Exception:
    return limits.fail(path, f"element {element.name[:40]}", f"the file ends before all of its {element.n} rows")


def _from_text(element: _Element, words: Iterator[bytes], path: Path) -> dict[str, np.ndarray]:
    plain = [name for name, _, counts in element.properties if not counts]
    try:
        if len(plain) == len(element.properties):
            n = element.n * len(plain)
            table = np.fromiter(map(float, itertools.islice(words, n)), np.float64)
            if len(table) < n:
                raise _short(path, element)
            return dict(zip(plain, table.reshape(element.n, len(plain) or 1).T))
        lists: list[list[int]] = []
        for _ in range(element.n):
            row: list[int] = []
            for name, _, counts in element.properties:
                n = 1
                if counts:
                    n = int(next(words))
                    if not 0 <= n <= _MOST_CORNERS:
                        raise ValueError
                found = list(itertools.islice(words, n))
                if len(found) < n:
                    raise StopIteration
                if counts and name.startswith("vertex_ind"):
                    row = [int(word) for word in found]
            lists.append(row)
    except StopIteration:
        raise _short(path, element) from None
    except (ValueError, OverflowError):
        raise limits.fail(
            path, f"element {element.name[:40]}", f"wanted numbers only, and lists of 0 to {_MOST_CORNERS}"
        ) from None
    return {"vertex_indices": _fans(lists, path)}


def _from_binary(element: _Element, body: bytes, at: int, order: str, path: Path):
    lists = [(name, kind, counts) for name, kind, counts in element.properties if counts]
    if not lists:
        row = np.dtype([(name, order + kind) for name, kind, _ in element.properties])
        if len(body) - at < element.n * row.itemsize:
            raise _short(path, element)
        table = np.frombuffer(body, row, element.n, at) if element.n else np.empty(0, row)
        return {name: table[name].astype(np.float64) for name in row.names or ()}, at + element.n * row.itemsize
    # Most files hold triangles only: then every row is as long as the others.
    even = np.dtype([
        part for name, kind, counts in element.properties
        for part in ([(f"{name} count", order + counts)] * bool(counts) + [(name, order + kind, (3,) if counts else ())])
    ])  # fmt: skip
    if len(lists) == 1 and lists[0][0].startswith("vertex_ind") and len(body) - at >= element.n * even.itemsize:
        table = np.frombuffer(body, even, element.n, at) if element.n else np.empty(0, even)
        if (table[f"{lists[0][0]} count"] == 3).all():
            return {"vertex_indices": _whole(table[lists[0][0]], path)}, at + element.n * even.itemsize
    found: list[Sequence[int]] = []
    # A file has millions of these rows, and numpy takes long over each.
    parts = [
        (
            name.startswith("vertex_ind"),
            np.dtype(kind),
            struct.Struct(order + np.dtype(counts).char) if counts else None,
        )
        for name, kind, counts in element.properties
    ]
    parts = [(wanted, kind.kind == "f", kind.char, kind.itemsize, counts) for wanted, kind, counts in parts]
    for _ in range(element.n):
        corners: tuple[int, ...] | list[int] = ()
        for wanted, fractions, char, size, counts in parts:
            n = 1
            if counts is not None:
                if len(body) - at < counts.size:
                    raise _short(path, element)
                (n,) = counts.unpack_from(body, at)
                at += counts.size
                if not 0 <= n <= _MOST_CORNERS:
                    raise limits.fail(path, f"element {element.name[:40]}", f"a list of {n:g}, at most {_MOST_CORNERS}")
                n = int(n)
            if len(body) - at < n * size:
                raise _short(path, element)
            if counts is not None and wanted:
                corners = struct.unpack_from(f"{order}{n}{char}", body, at)
                corners = _whole(np.array(corners), path).tolist() if fractions else corners
            at += n * size
        found.append(corners)
    return {"vertex_indices": _fans(found, path)}, at


def _whole(numbers: np.ndarray, path: Path) -> np.ndarray:
    """Corners of faces as integers; those beyond every mesh stay so."""
    given = numbers.astype(np.float64)
    if not (np.abs(given) <= 2.0**40).all() or (np.floor(given) != given).any():
        raise limits.fail(path, "element face", "wanted whole numbers of vertices")
    return numbers.astype(np.int64)


def _fans(lists: Sequence[Sequence[int]], path: Path) -> np.ndarray:
    triangles = [(c[0], c[k], c[k + 1]) for c in lists for k in range(1, len(c) - 1)]
    limits.counted(path, "element face", 0, len(triangles))
    try:
        return np.array(triangles, np.int64).reshape(-1, 3)
    except OverflowError:
        raise limits.fail(path, "element face", "wanted whole numbers of vertices") from None
