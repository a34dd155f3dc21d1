"""Binary glTF 2.0: one file that holds everything. Its y is up; it is turned on its way in."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

import scenes
from scenes.geometry.reading import limits, pictures

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_TREE = 2**23
"""Bytes of the tree (JSON) of a file."""
_PARTS = 10**4
"""Meshes that its nodes show."""
_TURNED = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
"""y up to z up."""


def read(data: bytes, path: Path) -> limits.Model:
    """The meshes of a GLB file's bytes, joined, each where its nodes place it.

    Raises:
        errors.CaveError: in one line.
    """
    tree, binary = _chunks(data, path)
    try:
        return _File(tree, binary, path).model()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        # The tree is data of any shape; what is not where it should be says so here.
        said = f"{type(error).__name__} {str(error)[:80]}"
        raise limits.fail(path, "tree", f"not as glTF 2.0 has it ({said})") from None


def _chunks(data: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF":
        raise limits.fail(path, "byte 0", "not a binary glTF file: wanted 'glTF' and a header of 20 bytes")
    version, length, size, kind = struct.unpack("<IIII", data[4:20])
    if version != 2 or length != len(data):
        raise limits.fail(
            path, "byte 4", f"version {version} of {length} bytes, wanted 2 and {len(data)}, which it has"
        )
    if kind != 0x4E4F534A or size > min(_TREE, len(data) - 20):
        raise limits.fail(
            path, "byte 12", f"wanted JSON first, of at most {min(_TREE, len(data) - 20)} bytes, not {size}"
        )
    try:
        tree = json.loads(data[20 : 20 + size].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise limits.fail(path, "tree", f"not JSON ({str(error)[:80]})") from None
    if not isinstance(tree, dict):
        raise limits.fail(path, "tree", f"a {type(tree).__name__}, wanted an object")
    at = 20 + size
    if len(data) < at + 8:
        return tree, b""
    size, kind = struct.unpack("<II", data[at : at + 8])
    if kind != 0x004E4942 or size > len(data) - at - 8:
        raise limits.fail(
            path, f"byte {at}", f"wanted a binary chunk of at most {len(data) - at - 8} bytes, not {size}"
        )
    return tree, data[at + 8 : at + 8 + size]


class _File:
    """The tree of a GLB and the bytes it speaks of."""

    def __init__(self, tree: dict[str, Any], binary: bytes, path: Path):
        self.tree, self.binary, self.path = tree, binary, path
        self.known: dict[str, list] = {}
        needed = tree.get("extensionsRequired", [])
        if needed:
            raise limits.fail(path, "tree", f"it requires {str(needed)[:80]}, wanted plain glTF 2.0: export without")
        for k, buffer in enumerate(self._list("buffers")):
            if k or "uri" in buffer:
                raise limits.fail(path, f"buffer {k}", "it lies in another file, wanted all in this one")
        self.parts: list[tuple] = []
        self.counts = [0, 0]

    def model(self) -> limits.Model:
        nodes, seen = self._list("nodes"), set()
        shown = self._list("scenes")
        roots = range(len(nodes))
        if shown:
            roots = shown[self._index(self.tree.get("scene", 0), shown, "scene")].get("nodes", [])
        else:
            below = {child for node in nodes for child in node.get("children", [])}
            roots = [i for i in roots if i not in below]
        waiting = [(root, _TURNED) for root in roots]
        while waiting:
            i, above = waiting.pop()
            i = self._index(i, nodes, "node")
            if i in seen:
                raise limits.fail(self.path, f"node {i}", "it is the child of two, or of itself: wanted a tree")
            seen.add(i)
            pose = above @ _pose(nodes[i])
            if not np.isfinite(pose).all():
                raise limits.fail(self.path, f"node {i}", "its pose is not finite")
            if "mesh" in nodes[i]:
                meshes = self._list("meshes")
                for primitive in meshes[self._index(nodes[i]["mesh"], meshes, "mesh")]["primitives"]:
                    self._add(primitive, pose)
            waiting += [(child, pose) for child in nodes[i].get("children", [])]
        if not self.parts:
            raise limits.fail(self.path, "", "no node shows a mesh of triangles")
        places, faces, normals, coordinates, material = zip(*self.parts)
        joined = lambda arrays: None if any(array is None for array in arrays) else np.concatenate(arrays)
        material, materials = np.concatenate(material), self._materials()
        if len(material) and material.max(initial=-1) >= len(materials):
            raise limits.fail(self.path, "tree", f"a mesh has material {material.max()}, there are {len(materials)}")
        return limits.finish(
            self.path, np.concatenate(places), np.concatenate(faces), joined(normals), joined(coordinates), material,
            materials,
        )  # fmt: skip

    def _add(self, primitive: dict[str, Any], pose: np.ndarray) -> None:
        if primitive.get("mode", 4) != 4:
            raise limits.fail(self.path, "tree", f"a mesh has mode {primitive['mode']}, wanted 4: triangles")
        given = primitive["attributes"]
        places = self._array(given["POSITION"], 3)
        n = len(places)
        if "indices" in primitive:
            faces = self._array(primitive["indices"], 1)
            if (np.floor(faces) != faces).any():
                raise limits.fail(self.path, "tree", "a face has a corner that is no whole number")
            faces = faces.astype(np.int64)
        else:
            faces = np.arange(n)
        faces = faces[: len(faces) // 3 * 3].reshape(-1, 3)
        if len(faces) and faces.max() >= n:
            raise limits.fail(self.path, "tree", f"a face has corner {faces.max()}, wanted 0 to {n - 1}")
        self.counts = [self.counts[0] + n, self.counts[1] + len(faces)]
        limits.counted(self.path, "tree", *self.counts)
        if len(self.parts) > _PARTS:
            raise limits.fail(self.path, "tree", f"it shows more than {_PARTS} meshes")
        turn = pose[:3, :3]
        if np.linalg.det(turn) < 0:
            faces = faces[:, ::-1]
        normals = self._array(given["NORMAL"], 3, n) if "NORMAL" in given else None
        if normals is not None:
            # They go as the inverse transpose does; the cofactors are that, but for a factor, and always exist.
            normals = (
                normals
                @ np.stack([np.cross(turn[1], turn[2]), np.cross(turn[2], turn[0]), np.cross(turn[0], turn[1])]).T
            )
        coordinates = self._array(given["TEXCOORD_0"], 2, n) * (1, -1) + (0, 1) if "TEXCOORD_0" in given else None
        material = primitive.get("material", -1)
        if not isinstance(material, int) or material < -1:
            raise limits.fail(self.path, "tree", f"a mesh has material {str(material)[:40]}, wanted a number")
        moved = places @ turn.T + pose[:3, 3]
        self.parts.append((moved, faces + self.counts[0] - n, normals, coordinates, np.full(len(faces), material)))

    def _array(self, i: Any, width: int, n: int | None = None) -> np.ndarray:
        """The numbers that an accessor points at, n by width."""
        accessors = self._list("accessors")
        accessor = accessors[self._index(i, accessors, "accessor")]
        count, kind = accessor["count"], np.dtype(_TYPES[accessor["componentType"]])
        own = f"accessor {i}"
        if "sparse" in accessor or _WIDTH.get(accessor["type"]) != width:
            raise limits.fail(self.path, own, f"it is sparse or not of {width} numbers a row")
        limits.counted(self.path, own, self._natural(count, own) // (3 if width == 1 else 1), 0)
        if n is not None and count != n:
            raise limits.fail(self.path, own, f"it has {count} rows, wanted {n}, as many as vertices")
        start, length, step = self._view(accessor["bufferView"])
        offset, row = self._natural(accessor.get("byteOffset", 0), own), width * kind.itemsize
        step = step or row
        if step < row or offset + (count - 1) * step + row > length or not count:
            raise limits.fail(self.path, own, f"its {count} rows do not fit into the {length} bytes of its view")
        made = np.ndarray((count, width), kind, self.binary, start + offset, (step, kind.itemsize))
        share = accessor.get("normalized", False) and kind.kind in "iu"
        made = np.maximum(made / np.iinfo(kind).max, -1) if share else made.astype(np.float64)
        return made if width > 1 else made[:, 0]

    def _view(self, i: Any) -> tuple[int, int, int]:
        """Of a view of the binary chunk: where it begins, how long it is, and bytes from row to row (0: none between)."""
        views = self._list("bufferViews")
        own = f"view {self._index(i, views, 'view')}"
        view = views[i]
        start, length = self._natural(view.get("byteOffset", 0), own), self._natural(view["byteLength"], own)
        step = self._natural(view.get("byteStride", 0), own)
        if view.get("buffer") != 0 or start + length > len(self.binary) or step > 252:
            raise limits.fail(
                self.path, own, f"it ends at byte {start + length} of the {len(self.binary)} that there are"
            )
        return start, length, step

    def _materials(self) -> tuple[limits.Material, ...]:
        materials, textures, images = self._list("materials"), self._list("textures"), self._list("images")
        if max(len(materials), len(images)) > limits.MATERIALS:
            raise limits.fail(self.path, "tree", f"it has more than {limits.MATERIALS} materials or pictures")
        made, drawn = [], {}
        for k, material in enumerate(materials):
            look = material.get("pbrMetallicRoughness", {})
            colour = tuple(float(x) for x in look.get("baseColorFactor", (1, 1, 1, 1)))
            if len(colour) != 4 or not all(0 <= x <= 1 for x in colour):
                raise limits.fail(
                    self.path, f"material {k}", f"its colour is {str(colour)[:80]}, wanted 4 numbers in 0..1"
                )
            picture = None
            if "baseColorTexture" in look:
                texture = textures[self._index(look["baseColorTexture"]["index"], textures, "texture")]
                i = self._index(texture["source"], images, "image")
                if i not in drawn:
                    if "uri" in images[i]:
                        raise limits.fail(self.path, f"image {i}", "it lies in another file, wanted all in this one")
                    start, length, _ = self._view(images[i]["bufferView"])
                    drawn[i] = pictures.read(self.binary[start : start + length], self.path, f"image {i}")
                    if sum(shown.size for shown in drawn.values()) > 4 * limits.PIXELS:
                        raise limits.fail(self.path, f"image {i}", f"more than {limits.PIXELS} pixels in all pictures")
                picture = drawn[i]
            made.append(limits.Material(str(material.get("name", ""))[:80], colour, picture))
        return tuple(made)

    def _list(self, name: str) -> list[dict[str, Any]]:
        if name in self.known:
            return self.known[name]
        found = self.known[name] = self.tree.get(name, [])
        if not isinstance(found, list) or len(found) > limits.ELEMENTS or not all(isinstance(x, dict) for x in found):
            raise limits.fail(self.path, "tree", f"{name} is not a list of at most {limits.ELEMENTS} objects")
        return found

    def _index(self, i: Any, among: list, what: str) -> int:
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(among):
            raise limits.fail(self.path, "tree", f"{what} {str(i)[:40]} is named, wanted 0 to {len(among) - 1}")
        return i

    def _natural(self, n: Any, where: str) -> int:
        if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n <= 2**32:
            raise limits.fail(self.path, where, f"it has {str(n)[:40]}, wanted a whole number of bytes or rows")
        return n


def _pose(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array([float(x) for x in node["matrix"]]).reshape(4, 4).T
    pose = np.eye(4)
    x, y, z, w = (float(x) for x in node.get("rotation", (0, 0, 0, 1)))
    length = (x * x + y * y + z * z + w * w) ** 0.5
    if not 0.5 < length < 2:
        raise ValueError("a rotation that is not a unit quaternion")
    scale = np.array([float(x) for x in node.get("scale", (1, 1, 1))]).reshape(3)
    pose[:3, :3] = scenes.rotation_matrices(np.array([w, x, y, z]) / length) * scale
    pose[:3, 3] = np.array([float(x) for x in node.get("translation", (0, 0, 0))]).reshape(3)
    return pose
