"""The trees in which the ray caster looks for triangles: grown once a mesh, kept as long as it lives, laid end to end."""

import weakref
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

import scenes
from scenes.renderers.kernels import growth, laid

Forest = tuple[np.ndarray | None, ...]
"""Trees of several meshes: root nodes (m,); boxes, extents and whether there are coordinates (m, 10); then, flat, what
`growth.grow` gives of them all, normals at the corners of each face, where each mesh's leaves begin and the last's end
(m + 1,), and the `laid.NUMBERS` of each face, or None where no mesh has coordinates."""

_trees: weakref.WeakKeyDictionary[scenes.Mesh, Forest] = weakref.WeakKeyDictionary()


def tree(mesh: scenes.Mesh) -> Forest:
    """The tree of one mesh, in units of its largest extent."""
    made = _trees.get(mesh)
    if made is None:
        unit = float(mesh.extent.max()) or 1.0
        corners = (mesh.vertices / np.float32(unit))[mesh.faces]
        low, high = corners.min((0, 1)), corners.max((0, 1))
        extent = np.abs([low, high]).max(0)
        nodes, children, triangles, faces = growth.grow(corners)
        margin = growth.MARGIN * np.float32([-1] * 3 + [1] * 3)
        has = mesh.coordinates is not None
        box = np.concatenate([np.concatenate([low, high]) + margin, extent, [has]]).astype(np.float32)
        parts = (box[None], nodes.ravel(), children.ravel(), triangles.ravel(), faces.ravel(), _normals(mesh).ravel())
        made = _trees[mesh] = (np.zeros(1, np.int32), *parts, _places(mesh, corners) if has else None)
    return made


def _places(mesh: scenes.Mesh, corners: Float32[np.ndarray, "f 3 3"]) -> Float32[np.ndarray, " n"]:
    """Of each face its corners' coordinates, and its area in the picture by its own; 0 where it has none."""
    (across, up), (right, left) = (
        np.moveaxis(part[:, 1:].astype(np.float64) - part[:, :1], 1, 0) for part in (mesh.coordinates, corners)
    )
    shown, area = (
        np.abs(across[:, 0] * up[:, 1] - across[:, 1] * up[:, 0]),
        np.linalg.norm(np.cross(right, left), axis=1),
    )
    rate = np.minimum(shown / np.where(area > 0, area, np.inf), np.finfo(np.float32).max)
    return np.concatenate([mesh.coordinates.reshape(-1, 6), rate[:, None]], 1).astype(np.float32).ravel()


def _normals(mesh: scenes.Mesh) -> Float32[np.ndarray, "f 3 3"]:
    """Of the corners of each face; 0 where a flat one has no area."""
    if mesh.normals is not None:
        return mesh.normals
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.where(length > 0, length, 1)
    return np.repeat(normals.astype(np.float32)[:, None], 3, 1)


def forest(meshes: Sequence[scenes.Mesh]) -> Forest:
    """The trees of several meshes, numbered in their order."""
    trees = [tree(mesh) for mesh in meshes]
    if not trees:
        empty = [np.zeros(0, dtype) for dtype in (np.float32, np.int32, np.float32, np.int32, np.float32)]
        return (np.zeros(0, np.int32), np.zeros((0, 10), np.float32), *empty, np.zeros(1, np.int32), None)
    count = lambda part, size: np.cumsum([0, *(len(t[part]) // size for t in trees[:-1])])
    roots = count(3, growth.WIDE).astype(np.int32)
    leaves, faces = count(5, growth.WIDE), count(6, 9)
    # Branches that are leaves are numbered downwards from -1.
    children = [np.where(t[3] >= 0, t[3] + a, t[3] - b) for t, a, b in zip(trees, roots, leaves, strict=True)]
    own = [t[5] + f for t, f in zip(trees, faces, strict=True)]
    rest = [np.concatenate([t[part] for t in trees]) for part in (1, 2, 4, 6)]
    join = lambda parts: np.concatenate(parts).astype(np.int32)
    firsts = np.append(leaves, leaves[-1] + len(trees[-1][5]) // growth.WIDE).astype(np.int32)
    places = [np.zeros(len(t[6]) // 9 * int(laid.NUMBERS), np.float32) if t[7] is None else t[7] for t in trees]
    coordinates = None if all(t[7] is None for t in trees) else np.concatenate(places)
    return (roots, rest[0], rest[1], join(children), rest[2], join(own), rest[3], firsts, coordinates)
