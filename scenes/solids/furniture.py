"""Furnished rooms in five styles: floor, walls and four pieces of furniture, as tables of solids.

Every style has the same four pieces, so that all rooms have as many solids: two that stand free, of two solids each, and
one tall and one low that stand against a wall.
"""

import math

import numpy as np
from jaxtyping import Float64, Int

import scenes

STYLES = ("lounge", "gallery", "cellar", "arcade", "garden")
"""What a factor `style` is an index into."""
WALL_HEIGHT = 2.4
FREE_REACH = 0.55
"""Half edge in metres of a square that holds any free piece, about its middle."""
DEPTH, WIDTH = 0.5, 1.0
"""Of pieces against walls: most metres from the wall, and most to either side of their middles."""
N_STAGE, N_SOLIDS = 5, 11
"""Floor and walls; all solids of a room but the things in it: also, in order, the first free piece, the second, the tall one
and the low one."""
FREE, AGAINST = ((5, 6), (7, 8)), (9, 10)
"""Which solids the free pieces and those against walls are."""
FLOOR, WALLS, FURNITURE = range(3)
GROUP = np.array([FLOOR] + [WALLS] * 4 + [FURNITURE] * 6)
"""What each solid belongs to."""

# A free piece: (kind, size, its middle's x, y, z, looks) from the piece's own middle on the floor. A piece against a wall:
# half extents along the wall, out from it and up, the height of its middle, looks.
# Looks: hue, saturation, value of the first colour; of the second; texture; its period in metres.
_WOOD = ((0.075, 0.55, 0.62), (0.075, 0.6, 0.48), "stripes", 0.18)
_OAK = ((0.09, 0.45, 0.75), (0.085, 0.5, 0.6), "noise", 0.25)
_STEEL = ((0.6, 0.08, 0.72), (0.6, 0.1, 0.55), "plain", 1.0)
_STONE = ((0.6, 0.05, 0.6), (0.6, 0.06, 0.45), "noise", 0.4)
_LEAVES = ((0.31, 0.6, 0.62), (0.34, 0.7, 0.36), "noise", 0.2)


def _plain(hue: float, saturation: float, value: float) -> tuple:
    return (hue, saturation, value), (hue, saturation, value), "plain", 1.0


_TABLES = {
    "lounge": {
        "floor": ((0.085, 0.45, 0.74), (0.08, 0.5, 0.64), "stripes", 0.5),
        "walls": ((0.12, 0.18, 0.95), (0.1, 0.28, 0.86), "stripes", 0.9),
        "free": (
            # A round table.
            ("cylinder", (0.22, 0.32, 0), (0, 0, 0.32), _WOOD),
            ("cylinder", (0.55, 0.04, 0), (0, 0, 0.68), _OAK),
            # An armchair.
            ("box", (0.5, 0.5, 0.22), (0, 0, 0.22), _plain(0.98, 0.55, 0.62)),
            ("box", (0.12, 0.5, 0.3), (-0.38, 0, 0.74), _plain(0.98, 0.6, 0.52)),
        ),
        # A shelf of books, a sideboard.
        "against": (
            (0.95, 0.18, 0.95, 0.95, ((0.02, 0.6, 0.5), (0.12, 0.5, 0.75), "stripes", 0.17)),
            (0.9, 0.24, 0.4, 0.4, _OAK),
        ),
        "light": ((0.56, 0.53, 0.49), (0.72, 0.82, 0.9)),
    },
    "gallery": {
        "floor": ((0.6, 0.04, 0.84), (0.6, 0.05, 0.7), "checker", 2.4),
        "walls": ((0.14, 0.03, 0.97), (0.14, 0.03, 0.97), "plain", 1.0),
        "free": (
            # A sphere and a cone on plinths.
            ("box", (0.36, 0.36, 0.4), (0, 0, 0.4), _plain(0.14, 0.04, 0.9)),
            ("sphere", (0.32, 0, 0), (0, 0, 1.12), _STEEL),
            ("cylinder", (0.4, 0.3, 0), (0, 0, 0.3), _plain(0.14, 0.04, 0.9)),
            ("cone", (0.34, 0.55, 0), (0, 0, 1.15), _STEEL),
        ),
        # A painting, a bench.
        "against": (
            (0.9, 0.04, 0.6, 1.35, ((0.02, 0.75, 0.85), (0.58, 0.7, 0.75), "noise", 0.7)),
            (0.9, 0.22, 0.22, 0.22, _plain(0.08, 0.1, 0.25)),
        ),
        "light": ((0.62, 0.62, 0.63), (0.9, 0.94, 0.98)),
    },
    "cellar": {
        "floor": ((0.1, 0.1, 0.62), (0.1, 0.14, 0.46), "noise", 0.8),
        "walls": ((0.03, 0.4, 0.62), (0.08, 0.12, 0.72), "bricks", 0.7),
        "free": (
            # A pillar.
            ("box", (0.5, 0.5, 0.1), (0, 0, 0.1), _STONE),
            ("cylinder", (0.38, 1.1, 0), (0, 0, 1.3), _STONE),
            # Two barrels.
            ("cylinder", (0.5, 0.45, 0), (0, 0, 0.45), _WOOD),
            ("cylinder", (0.34, 0.32, 0), (0, 0, 1.22), _WOOD),
        ),
        # A rack of bottles, crates.
        "against": (
            (0.95, 0.2, 0.85, 0.85, ((0.07, 0.6, 0.42), (0.38, 0.5, 0.25), "checker", 0.34)),
            (0.7, 0.25, 0.3, 0.3, ((0.09, 0.5, 0.66), (0.08, 0.6, 0.42), "bricks", 0.5)),
        ),
        "light": ((0.52, 0.5, 0.47), (0.3, 0.28, 0.3)),
    },
    "arcade": {
        "floor": ((0.76, 0.45, 0.45), (0.53, 0.6, 0.7), "checker", 1.6),
        "walls": ((0.72, 0.45, 0.72), (0.8, 0.5, 0.6), "checker", 1.3),
        "free": (
            # A machine with its sign.
            ("box", (0.45, 0.4, 0.7), (0, 0, 0.7), _plain(0.62, 0.55, 0.6)),
            ("box", (0.38, 0.32, 0.2), (0, 0, 1.6), ((0.5, 0.6, 1.0), (0.88, 0.6, 1.0), "stripes", 0.25)),
            # A counter with a lamp.
            ("cylinder", (0.52, 0.45, 0), (0, 0, 0.45), ((0.95, 0.6, 0.6), (0.98, 0.2, 0.9), "stripes", 0.3)),
            ("capsule", (0.14, 0.2, 0), (0, 0, 1.24), _plain(0.15, 0.25, 1.0)),
        ),
        # A row of machines, a couch.
        "against": (
            (0.95, 0.24, 0.8, 0.8, ((0.52, 0.7, 0.9), (0.7, 0.6, 0.25), "stripes", 0.6)),
            (0.9, 0.25, 0.25, 0.25, _plain(0.93, 0.6, 0.5)),
        ),
        "light": ((0.54, 0.52, 0.6), (0.16, 0.1, 0.26)),
    },
    "garden": {
        "floor": ((0.27, 0.5, 0.66), (0.3, 0.55, 0.5), "noise", 0.5),
        "walls": ((0.56, 0.25, 0.9), (0.1, 0.3, 0.88), "bricks", 1.3),
        "free": (
            # A tree.
            ("cylinder", (0.14, 0.5, 0), (0, 0, 0.5), _WOOD),
            ("cone", (0.55, 0.65, 0), (0, 0, 1.65), _LEAVES),
            # A fountain.
            ("cylinder", (0.55, 0.18, 0), (0, 0, 0.18), _STONE),
            ("cylinder", (0.16, 0.4, 0), (0, 0, 0.76), _STONE),
        ),
        # A hedge, a bench.
        "against": (
            (0.95, 0.25, 0.5, 0.5, _LEAVES),
            (0.85, 0.22, 0.22, 0.22, _WOOD),
        ),
        "light": ((0.58, 0.58, 0.54), (0.55, 0.77, 0.97)),
    },
}


def _columns() -> dict[str, np.ndarray]:
    """The tables as arrays, rows as STYLES, columns as solids."""
    shape = (len(STYLES), N_SOLIDS)
    out = {"kind": np.full(shape, scenes.KINDS.index("plane"), np.int32), "size": np.zeros((*shape, 3))}
    out |= {"place": np.zeros((*shape, 3)), "hsv": np.zeros((*shape, 2, 3))}
    out |= {"texture": np.zeros(shape, np.int32), "texture_scale": np.ones(shape, np.float32)}
    out |= {"ambient": np.zeros((len(STYLES), 3), np.float32), "sky": np.zeros((len(STYLES), 3), np.float32)}

    def look(i: int, j: int, looks: tuple) -> None:
        first, second, texture, out["texture_scale"][i, j] = looks
        out["hsv"][i, j], out["texture"][i, j] = (first, second), scenes.TEXTURES.index(texture)

    for i, style in enumerate(STYLES):
        table = _TABLES[style]
        for j, name in enumerate(("floor", *["walls"] * 4)):
            look(i, j, table[name])
        for j, (kind, size, place, looks) in enumerate(table["free"], N_STAGE):
            out["kind"][i, j] = scenes.KINDS.index(kind)
            out["size"][i, j], out["place"][i, j] = size, place
            look(i, j, looks)
        for j, (along, away, up, height, looks) in zip(AGAINST, table["against"]):
            out["kind"][i, j] = scenes.KINDS.index("box")
            out["size"][i, j], out["place"][i, j] = (along, away, up), (0, -away, height)
            look(i, j, looks)
        out["ambient"][i], out["sky"][i] = table["light"]
    return out


TABLE = _columns()
"""Arrays of all styles: kind, size, place (of free pieces from their middles, of the others from the foot of their wall, y
being out of the room), hsv of two colours, texture, texture_scale; ambient and sky."""


def _outlines() -> tuple[np.ndarray, np.ndarray]:
    """Of each style's four pieces, seen from above: half extents of a box, or the radius of a disc."""
    box, radius = np.zeros((len(STYLES), 4, 2)), np.zeros((len(STYLES), 4))
    flat = TABLE["kind"] == scenes.KINDS.index("box")
    for piece, solids in enumerate((*FREE, *((j,) for j in AGAINST))):
        own = list(solids)
        size = TABLE["size"][:, own]
        # A disc beside a box is held by a square.
        wide = np.where(flat[:, own, None], size[..., :2], size[..., :1])
        if len(own) > 1:
            wide = wide + np.abs(TABLE["place"][:, own, :2])
        square = flat[:, own].any(1)
        box[:, piece] = np.where(square[:, None], wide.max(1), 0)
        radius[:, piece] = np.where(square, 0, wide.max((1, 2)))
    return box, radius


_BOX, _RADIUS = _outlines()


def spots(
    half: float, middles: Float64[np.ndarray, "b 2 2"], walls: Int[np.ndarray, "b 2"], along: Float64[np.ndarray, "b 2"]
) -> tuple[Float64[np.ndarray, "b 4 2"], Float64[np.ndarray, "b 4"]]:
    """Where the pieces of rooms of half edge `half` stand, and how they are turned: of those that stand free the middles,
    of the tall and the low one the feet of their walls.

    Args:
        half: Half edge of the rooms, in metres.
        middles: Of the free pieces.
        walls: Of the two others: 0 to 3 for +x, +y, -x, -y.
        along: How far along that wall, counter-clockwise from its middle, in metres.
    """
    turn = walls * (math.pi / 2)
    out = np.stack([np.cos(turn), np.sin(turn)], -1)
    left = np.stack([-out[..., 1], out[..., 0]], -1)
    feet = out * half + left * along[..., None]
    # A piece's own y points out of the room.
    yaw = np.concatenate([np.zeros_like(turn), turn - math.pi / 2], 1)
    return np.concatenate([middles, feet], 1), yaw


def outlines(
    style: Int[np.ndarray, " b"], half: float, place: Float64[np.ndarray, "b 4 2"], walls: Int[np.ndarray, "b 2"]
) -> tuple[Float64[np.ndarray, "b 4 2"], Float64[np.ndarray, "b 4 2"], Float64[np.ndarray, "b 4"]]:
    """The four pieces of each room as seen from above: middles, half extents along x and y of boxes, radii of discs.

    `place` is what `spots` gave.
    """
    box, middle = _BOX[style].copy(), place.copy()
    turn = walls * (math.pi / 2)
    out = np.stack([np.cos(turn), np.sin(turn)], -1)
    middle[:, 2:] -= out * box[:, 2:, 1:]
    box[:, 2:] = np.where((walls % 2 == 0)[..., None], box[:, 2:, ::-1], box[:, 2:])
    return middle, box, _RADIUS[style]
