"""Growing the tree of boxes around the triangles of a mesh, in which `trees` looks for what a ray meets.

First a tree of two branches a node, split where the surface area heuristic says (Goldsmith and Salmon 1987; by bins, as
Wald 2007): the halves of least area times faces. Then its nodes are taken together until each has `WIDE` branches, which
one SIMD instruction tests at once; a leaf holds as many triangles.
"""

import numpy as np

from scenes.kit.compiler import kept

WIDE = 16
"""Branches of a node, triangles of a leaf."""
DEEPEST = 40
"""From this depth on, halves hold equally many faces: so the tree ends, and soon, whatever the faces are."""
STACK = 64 * 16
"""Places to remember on the way through a tree: depth, which is at most 40 and the binary logarithm of the most faces,
times the branches that are left behind at each."""
PILE = STACK + WIDE
"""Length of the scratch arrays of a walk through a tree: these places, and a number for each branch."""
BINS = 16
NOWHERE = np.float32(1e30)
"""An empty branch's box begins there and ends before: no ray meets it."""
MARGIN = np.float32(2e-6)
"""By how much of the mesh's extent boxes are wider than what they hold: rounding must lose no triangle."""


@kept()
def _area(low, high):
    x, y, z = high[0] - low[0], high[1] - low[1], high[2] - low[2]
    return x * y + y * z + z * x


@kept()
def _bounds(low, high, order, first, end):
    """The box around some faces, and the one around their middles (twice these)."""
    box, middles = np.empty((2, 3)), np.empty((2, 3))
    box[0], middles[0], box[1], middles[1] = np.inf, np.inf, -np.inf, -np.inf
    for k in range(first, end):
        for i in range(3):
            a, b = low[order[k], i], high[order[k], i]
            box[0, i], box[1, i] = min(box[0, i], a), max(box[1, i], b)
            middles[0, i], middles[1, i] = min(middles[0, i], a + b), max(middles[1, i], a + b)
    return box, middles


@kept()
def _best_split(low, high, order, first, end, middles):
    """Axis and place at which to part some faces by their middles (twice these); the axis is -1 if that parts none."""
    count = np.zeros(BINS, np.int64)
    boxes = np.empty((BINS, 2, 3))
    after = np.empty(BINS)
    axis, place, least = -1, 0.0, np.inf
    for i in range(3):
        start, width = middles[0, i], middles[1, i] - middles[0, i]
        if not width > 0:
            continue
        count[:] = 0
        boxes[:, 0], boxes[:, 1] = np.inf, -np.inf
        for k in range(first, end):
            face = order[k]
            at = min(BINS - 1, int((low[face, i] + high[face, i] - start) / width * BINS))
            count[at] += 1
            for j in range(3):
                boxes[at, 0, j] = min(boxes[at, 0, j], low[face, j])
                boxes[at, 1, j] = max(boxes[at, 1, j], high[face, j])
        # From the right, then from the left.
        a, b, n = np.full(3, np.inf), np.full(3, -np.inf), 0
        for at in range(BINS - 1, 0, -1):
            a, b, n = np.minimum(a, boxes[at, 0]), np.maximum(b, boxes[at, 1]), n + count[at]
            after[at] = _area(a, b) * ((n + WIDE - 1) // WIDE) if n else np.inf
        a, b, n = np.full(3, np.inf), np.full(3, -np.inf), 0
        for at in range(BINS - 1):
            a, b, n = np.minimum(a, boxes[at, 0]), np.maximum(b, boxes[at, 1]), n + count[at]
            if n and _area(a, b) * ((n + WIDE - 1) // WIDE) + after[at + 1] < least:
                least = _area(a, b) * ((n + WIDE - 1) // WIDE) + after[at + 1]
                axis, place = i, start + width * (at + 1) / BINS
    return axis, place


@kept()
def _halves(low, high):
    """The tree of two branches: order of faces; of each node its faces in it, first branch (0: a leaf) and box."""
    n = len(low)
    order = np.arange(n)
    span, branch, boxes = np.empty((2 * n, 2), np.int64), np.zeros(2 * n, np.int64), np.empty((2 * n, 2, 3))
    todo, depths = [0], [0]
    span[0], made = (0, n), 1
    while todo:
        node, depth = todo.pop(), depths.pop()
        first, end = span[node]
        boxes[node], middles = _bounds(low, high, order, first, end)
        if end - first <= WIDE:
            continue
        cut = first
        if depth < DEEPEST:
            axis, place = _best_split(low, high, order, first, end, middles)
            if axis >= 0:
                for k in range(first, end):
                    face = order[k]
                    if low[face, axis] + high[face, axis] < place:
                        order[k], order[cut] = order[cut], face
                        cut += 1
        if cut in (first, end):
            cut = (first + end) // 2
        branch[node] = made
        span[made], span[made + 1] = (first, cut), (cut, end)
        todo += [made, made + 1]
        depths += [depth + 1, depth + 1]
        made += 2
    return order, span[:made], branch[:made], boxes[:made]


@kept()
def grow(corners):
    """The tree of triangles, float32 f 3 3.

    Returns:
        Boxes of branches, float32 n 6 `WIDE`: lowest x y z, highest x y z; what each branch is, int32 n `WIDE`: a node,
        or for -1 - l the leaf l; corners of triangles, float32 l 9 `WIDE`; their faces, int32 l `WIDE`, -1 for none.
    """
    f = len(corners)
    low, high, most = np.empty((f, 3)), np.empty((f, 3)), 0.0
    for k in range(f):
        for i in range(3):
            low[k, i] = min(corners[k, 0, i], corners[k, 1, i], corners[k, 2, i])
            high[k, i] = max(corners[k, 0, i], corners[k, 1, i], corners[k, 2, i])
            most = max(most, abs(low[k, i]), abs(high[k, i]))
    order, span, branch, boxes = _halves(low, high)
    margin = np.float32(most) * MARGIN
    inner = max(1, int((branch > 0).sum()))
    sides, children = np.empty((inner, 6, WIDE), np.float32), np.zeros((inner, WIDE), np.int32)
    sides[:, :3], sides[:, 3:] = NOWHERE, -NOWHERE
    leaves = int((branch == 0).sum())
    triangles, faces = np.zeros((leaves, 9, WIDE), np.float32), np.full((leaves, WIDE), -1, np.int32)
    together, todo = np.empty(WIDE, np.int64), [0]
    n, leaf = 1, 0
    wide = np.zeros(len(branch), np.int64)  # numbers of what is a node still
    while todo:
        node = todo.pop()
        at, count = wide[node], 1
        together[0] = node
        while count < WIDE:
            # Open the largest.
            largest, area = -1, -1.0
            for k in range(count):
                if branch[together[k]] and _area(boxes[together[k], 0], boxes[together[k], 1]) > area:
                    largest, area = k, _area(boxes[together[k], 0], boxes[together[k], 1])
            if largest < 0:
                break
            opened = branch[together[largest]]
            together[largest], together[count] = opened, opened + 1
            count += 1
        for k in range(count):
            part = together[k]
            for i in range(3):
                sides[at, i, k] = np.float32(boxes[part, 0, i]) - margin
                sides[at, 3 + i, k] = np.float32(boxes[part, 1, i]) + margin
            if branch[part]:
                children[at, k] = wide[part] = n
                todo.append(part)
                n += 1
                continue
            children[at, k] = -1 - leaf
            first, end = span[part]
            for j in range(end - first):
                face = order[first + j]
                faces[leaf, j] = face
                for c in range(3):
                    for i in range(3):
                        triangles[leaf, 3 * c + i, j] = corners[face, c, i]
            leaf += 1
    return sides[:n].copy(), children[:n].copy(), triangles, faces
