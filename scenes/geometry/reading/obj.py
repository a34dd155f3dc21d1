"""Wavefront OBJ: text, and the materials (MTL) beside it."""

import array
import itertools
from pathlib import Path

import numpy as np

from scenes.geometry.reading import limits, pictures

_IGNORED = {b"s", b"l", b"p", b"vp", b"mg", b"lod", b"bevel", b"c_interp", b"d_interp", b"shadow_obj", b"trace_obj",
            b"usemap", b"maplib"}  # fmt: skip
_ACCEPTED = "accepted: v, vt, vn, f, usemtl, mtllib, o, g, s"


def read(data: bytes, path: Path, root: Path) -> limits.Model:
    """The mesh of an OBJ file's bytes; polygons are cut into fans.

    Raises:
        errors.CaveError: in one line.
    """
    numbers = {b"v": array.array("d"), b"vt": array.array("d"), b"vn": array.array("d")}
    width = {b"v": 3, b"vt": 2, b"vn": 3}
    corners, material, part = array.array("q"), array.array("q"), array.array("q")
    libraries, names, now, group = [], {}, -1, 0
    for at, words in limits.lines(data, path):
        key = words[0]
        try:
            if key in numbers:
                row = tuple(map(float, words[1 : 1 + width[key]]))
                if key == b"vt" and len(row) == 1:
                    row += (0.0,)
                if len(row) < width[key] or len(words) > 9:
                    raise ValueError
                numbers[key].extend(row)
            elif key == b"f":
                counts = [len(numbers[k]) // width[k] for k in numbers]
                around = [_corner(word, counts) for word in words[1:]]
                for a, b in itertools.pairwise(around[1:]):
                    corners.extend(around[0] + a + b)
                    material.append(now)
                    part.append(group)
            elif key == b"usemtl":
                now = names.setdefault(_name(words), len(names))
            elif key in (b"o", b"g"):
                group += bool(part) and part[-1] == group
            elif key == b"mtllib":
                libraries.append((at, _name(words)))
            elif key not in _IGNORED and not key.startswith(b"#"):
                raise ValueError
        except ValueError:
            raise limits.fail(path, f"line {at}", f"{limits.shown(words)} is not a line of OBJ; {_ACCEPTED}") from None
        if (
            max(map(len, numbers.values())) > 3 * limits.CORNERS
            or len(material) > limits.CORNERS
            or len(names) > limits.MATERIALS
        ):
            raise limits.fail(
                path, f"line {at}",
                f"it has more than {limits.CORNERS} vertices or faces, or {limits.MATERIALS} materials",
            )  # fmt: skip
    places, at_picture, normals = (np.array(numbers[key], np.float64).reshape(-1, width[key]) for key in numbers)
    index = np.array(corners, np.int64).reshape(-1, 3)
    n = np.array([len(places), len(at_picture), len(normals)])
    bad = (index >= n) | (index < [0, -1, -1])
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        what = ("vertex", "texture coordinate", "normal")[column]
        raise limits.fail(
            path, f"triangle {row // 3}", f"it names {what} {int(index[row, column]) + 1}, wanted 1 to {n[column]}"
        )
    known = _library(libraries, path, root)
    materials = tuple(known.get(name, limits.Material(name)) for name in names)
    whole = [bool(len(index)) and (index[:, k] >= 0).all() for k in (1, 2)]
    kept = {"material": np.array(material, np.int64), "materials": materials, "part": np.array(part, np.int64)}
    if not any(whole):
        return limits.finish(path, places, index[:, 0].reshape(-1, 3), **kept)
    # A vertex of ours is what the file has as a triple.
    index[:, ~np.array([True, *whole])] = -1
    apart, faces = np.unique(index, axis=0, return_inverse=True)
    return limits.finish(
        path, places[apart[:, 0]], faces.reshape(-1, 3), normals[apart[:, 2]] if whole[1] else None,
        at_picture[apart[:, 1]] if whole[0] else None, **kept,
    )  # fmt: skip


def _name(words: list[bytes]) -> str:
    if len(words) < 2 or len(words) > 64:
        raise ValueError
    return b" ".join(words[1:]).decode("utf-8")


def _corner(word: bytes, counts: list[int]) -> tuple[int, int, int]:
    """Vertex, texture coordinate and normal, from 0; -1 where there is none, less where it is out of range."""
    parts = word.split(b"/")
    if not 1 <= len(parts) <= 3 or len(word) > 40:
        raise ValueError
    made = [-1, -1, -1]
    for k, part in enumerate(parts):
        if part:
            i = int(part)
            # From the end, where it is negative; 0 names nothing.
            made[k] = i - 1 if i > 0 else counts[k] + i if i < 0 else -2
            made[k] = min(made[k], 2**40) if made[k] >= 0 else -2
    return made[0], made[1], made[2]


def _library(libraries: list[tuple[int, str]], path: Path, root: Path) -> dict[str, limits.Material]:
    """Materials by name. A library that is missing leaves its materials white, as every program does."""
    known: dict[str, limits.Material] = {}
    drawn: dict[Path, np.ndarray | None] = {}
    for at, name in {name: (at, name) for at, name in libraries[: limits.MATERIALS]}.values():
        found = limits.inside(root, path.parent, name, path, f"line {at}")
        if found.exists():
            known |= _materials(limits.contents(found), found, root, drawn)
    return known


def _materials(data: bytes, path: Path, root: Path, drawn: dict[Path, np.ndarray | None]) -> dict[str, limits.Material]:
    """The materials of an MTL file's bytes: diffuse colour, opacity and the diffuse colour's picture; `drawn` are the
    pictures of all libraries, each read once."""
    made: dict[str, dict] = {}
    now: dict = {}
    for at, words in limits.lines(data, path):
        if len(words) < 2:
            continue
        try:
            if words[0] == b"newmtl":
                name = _name(words)
                now = made[name] = {"name": name, "colour": (1.0, 1.0, 1.0), "opacity": 1.0, "picture": ""}
                if len(made) > limits.MATERIALS:
                    raise limits.fail(path, f"line {at}", f"it has more than {limits.MATERIALS} materials")
            elif words[0] == b"Kd" and len(words) == 4:
                now["colour"] = tuple(_share(word) for word in words[1:])
            elif words[0] in (b"d", b"Tr"):
                opacity = _share(words[-1])
                now["opacity"] = opacity if words[0] == b"d" else 1 - opacity
            elif words[0] == b"map_Kd":
                now["picture"], now["at"] = words[-1].decode("utf-8"), at
        except ValueError:
            raise limits.fail(
                path, f"line {at}", f"{limits.shown(words)} is not a line of MTL; wanted numbers from 0 to 1"
            ) from None
    pictured: dict[str, np.ndarray | None] = {}
    for name, look in made.items():
        if not look["picture"]:
            continue
        where = f"line {look['at']}"
        found = limits.inside(root, path.parent, look["picture"].replace("\\", "/"), path, where)
        if found not in drawn:
            drawn[found] = pictures.read(limits.contents(found), found) if found.exists() else None
            if sum(0 if picture is None else picture.size for picture in drawn.values()) > 4 * limits.PIXELS:
                raise limits.fail(path, where, f"more than {limits.PIXELS} pixels in all pictures")
        pictured[name] = drawn[found]
    return {
        name: limits.Material(name, (*look["colour"], look["opacity"]), pictured.get(name))
        for name, look in made.items()
    }


def _share(word: bytes) -> float:
    value = float(word)
    if not 0 <= value <= 1e3:
        raise ValueError
    return min(value, 1.0)
