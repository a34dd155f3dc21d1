"""STL: triangles one by one, as text or in binary. Corners at the same place become one vertex."""

import array
from pathlib import Path

import numpy as np

from scenes.geometry.reading import limits

_HEAD, _FACE = 84, 50


def read(data: bytes, path: Path) -> limits.Model:
    """The mesh of an STL file's bytes; its normals are left aside, since the order of corners says the same.

    Raises:
        errors.CaveError: in one line.
    """
    n = int.from_bytes(data[80:84], "little") if len(data) >= _HEAD else -1
    # Some programs begin binary files with the word that begins text.
    if n >= 0 and len(data) == _HEAD + n * _FACE:
        limits.counted(path, "byte 80", 0, n)
        rows = np.frombuffer(data, np.dtype([("floats", "<f4", 12), ("rest", "<u2")]), n, _HEAD)
        return _merged(rows["floats"][:, 3:].reshape(-1, 3), path)
    if data[:512].lstrip().startswith(b"solid"):
        return _merged(_text(data, path), path)
    wanted = f"of {n} faces has {_HEAD + n * _FACE}" if n >= 0 else f"has {_HEAD} at least"
    raise limits.fail(path, "byte 80", f"it has {len(data)} bytes, a binary STL {wanted}, and text begins with 'solid'")


def _text(data: bytes, path: Path) -> np.ndarray:
    corners, expected = array.array("d"), 0
    order = (b"facet", b"outer", b"vertex", b"vertex", b"vertex", b"endloop", b"endfacet")
    for at, words in limits.lines(data, path):
        key = words[0].lower()
        if expected == 0 and key in (b"solid", b"endsolid"):
            continue
        try:
            if key != order[expected]:
                raise ValueError
            if key == b"vertex":
                x, y, z = words[1:]
                corners.extend((float(x), float(y), float(z)))
        except ValueError:
            raise limits.fail(
                path, f"line {at}", f"it is {limits.shown(words)}, wanted {order[expected].decode()!r}"
            ) from None
        expected = (expected + 1) % len(order)
        if len(corners) > 9 * limits.CORNERS:
            raise limits.fail(path, f"line {at}", f"it has more than {limits.CORNERS} faces")
    if expected:
        raise limits.fail(path, "last line", f"it ends within a face, wanted {order[expected].decode()!r}")
    return np.array(corners, np.float64).reshape(-1, 3)


def _merged(corners: np.ndarray, path: Path) -> limits.Model:
    if not np.isfinite(corners).all():
        i = int((~np.isfinite(corners)).any(1).argmax())
        raise limits.fail(path, f"face {i // 3}", f"it has the corner {corners[i].tolist()}, wanted finite numbers")
    places, faces = np.unique(corners.astype(np.float32), axis=0, return_inverse=True)
    return limits.finish(path, places, faces.reshape(-1, 3))
