"""Mazes under the sky, with landmarks in the corners of some of their cells.

A maze is a square of `cells` by `cells` cells of 2.5 m. Its walls are those of a random spanning tree, so that every cell
can be reached from every other, less a share of them, `openness`, that are left out and make loops. Its number `layout`
chooses it: another one is another maze. Landmarks are the solids of `scenes.rooms`, one colour each; no two of them share a
cell, their hues differ, and each leans into a corner of its cell, so that none bars a way.

Source of the setting: Beattie et al., "DeepMind Lab", 2016 (arXiv:1612.03801), and the mazes of Eslami et al., "Neural
scene representation and rendering", Science 2018. Every layout is carved from numbers here; nothing is copied.

Splits (all but `test` lie outside the training support, as `factors.check_splits` proves whenever they are made; layouts
are new in every one of them):

    train           `cells` a side, two to `n_objects` landmarks; no `new_hues`, no `new_shapes`, few loops, some pairs of
                    shape and hue held out, no landmark in the east
    test            fresh seeds of the same
    new-colours     every landmark of a held-out hue
    new-shapes      every landmark of a held-out shape
    more-objects    one or two more landmarks than training ever had
    new-layout      every landmark in the eastern third of the maze, where training had none
    larger          one or two more cells a side than training ever had
    open            about half of the walls left out, where training lacks at most a fifth
    recombination   at least one held-out pair of shape and hue, each of them common in training
    nuisance-easy   as training, but what is seen of an episode is disturbed a little (`scenes.factors.nuisance`)
    nuisance-hard   as training, but it is disturbed much

Solids of a scene, in order: 0 the floor, 1 to 4 the outer walls at +x, -x, +y, -y, then the landmarks, then the walls
within (`scenes.grids`), as many as the maze happens to have.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64, Int64

import scenes
from scenes import factors as fa
from scenes import grids, viewpoints
from scenes.factors import nuisance
from scenes.kit import errors, seeds
from scenes.solids import SHAPES, footprint, rgb, stand

WALL_TEXTURES = ("plain", "checker", "stripes", "bricks", "noise")
FLOOR_TEXTURES = ("checker", "stripes", "noise")
_WALL_SCALES = np.array([0.9 if name == "bricks" else 1.6 for name in WALL_TEXTURES], np.float32)
_SHADES = np.array([[[0.3, 0.45]], [[0.35, 0.6]]]), np.array([[[0.88, 0.5]], [[0.92, 0.6]]])
"""Saturation and value of the two colours of the floor and of the walls."""
CELL, THICKNESS, WALL_HEIGHT = 2.5, 0.2, 1.4
"""Edge of a cell, from the middle of one wall to that of the next; thickness and height of walls. In metres."""
FIRST_OBJECT = 5
FOV = math.radians(75)
"""Field of view of every camera in a maze, edge to edge, in radians."""
SIZES = (0.25, 0.33)
"""Range of the factor `size`, in metres."""
LEAN = CELL / 2 - THICKNESS / 2 - 0.05
"""How far along x and y a landmark reaches from its cell's middle, in metres: almost to the walls."""
MORE_CELLS, MORE_OBJECTS = 2, 2
"""By how many cells a side, at most, those of `larger` exceed training's, and landmarks those of `more-objects`."""
_EAST = 2 / 3
LIMITS = {
    "layout": (0.0, math.nextafter(1.0, 0.0)),
    "openness": (0.0, 1.0),
    "wall_texture": (0, len(WALL_TEXTURES) - 1),
    "floor_texture": (0, len(FLOOR_TEXTURES) - 1),
    "wall_hue": (0.0, 1.0),
    "floor_hue": (0.0, 1.0),
    "light_elevation": (0.0, math.pi / 2),
    "shape": (0, len(SHAPES) - 1),
    "hue": (0.0, 1.0),
    "size": (0.0, SIZES[1]),
    "east": (0.0, math.nextafter(1.0, 0.0)),
    "north": (0.0, math.nextafter(1.0, 0.0)),
    "corner": (0, 3),
} | nuisance.LIMITS
"""Least and largest values of factors that a maze can be built of, whatever splits draw."""
NUISANCE = (
    "wall_texture",
    "floor_texture",
    "wall_hue",
    "floor_hue",
    "light_azimuth",
    "light_elevation",
    *nuisance.NAMES,
)
"""Factors that are none of the business of whoever looks for a landmark."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the mazes."""

    cells: tuple[int, int] = (5, 7)
    """Fewest and most cells along a side of a training maze."""
    n_objects: int = 3
    """Most landmarks in a training maze; the fewest is two."""
    hue_gap: float = 0.08
    """Least difference between the hues of two landmarks of a maze, on a circle of length 1."""
    new_shapes: tuple[str, ...] = ("ellipsoid", "torus")
    """Shapes kept for the split `new-shapes`."""
    new_hues: tuple[tuple[float, float], ...] = ((0.2, 0.35), (0.7, 0.85))
    """Intervals of hue, within [0, 1), kept for the split `new-colours`."""


def most_cells(config: Config) -> int:
    """Most cells along a side of a maze of any split."""
    return config.cells[1] + MORE_CELLS


def _check(config: Config) -> None:
    errors.within("mazes", config, {"n_objects": (2, 6), "hue_gap": (0.0, 0.5)})
    low, high = config.cells
    if not 3 <= low <= high <= 32:
        raise errors.CaveError(f"mazes: cells are {low} to {high}, wanted fewest and most, from 3 to 32", errors.USAGE)


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions.

    Raises:
        errors.CaveError: the options leave a split empty, or make one leak; factor and witness are named.
    """
    _check(config)
    known = fa.looks("mazes", SHAPES, config.new_shapes, config.new_hues)
    place = fa.box(east=fa.Interval(0.0, 1.0), north=fa.Interval(0.0, 1.0))
    east = place & fa.box(east=fa.Interval(_EAST, 1.0))
    rest = fa.box(size=fa.Interval(*SIZES), yaw=fa.Interval(0.0, 2 * math.pi), corner=fa.Finite(range(4)))
    scene = fa.box(
        layout=fa.Interval(0.0, 1.0),
        wall_texture=fa.Finite(range(len(WALL_TEXTURES))),
        floor_texture=fa.Finite(range(len(FLOOR_TEXTURES))),
        wall_hue=fa.Interval(0.0, 1.0),
        floor_hue=fa.Interval(0.0, 1.0),
        light_azimuth=fa.Interval(0.0, 2 * math.pi),
        light_elevation=fa.Interval(0.5, 1.2),
    )
    least, most = config.cells
    sizes = fa.Finite(range(least, most + 1)), fa.Finite(range(most + 1, most + MORE_CELLS + 1))
    few = fa.Finite(range(2, config.n_objects + 1))
    many = fa.Finite(range(config.n_objects + 1, config.n_objects + MORE_OBJECTS + 1))
    fits = functools.partial(_fit, 1 / least, config.hue_gap)

    def split(
        name, novel=(), looks=known.train, place=place - east, count=few, some=None, of=None, cells=sizes[0],
        openness=(0.0, 0.2), disturbed=nuisance.CALM,
    ):  # fmt: skip
        some = some and some * place * rest
        grid = fa.box(cells=cells, openness=fa.Interval(*openness))
        objects = fa.Repeat(count, looks * place * rest, some, config.n_objects + MORE_OBJECTS, fits)
        return fa.Split(name, grid * scene * disturbed, objects, of, novel)

    made = [
        split("train"),
        split("test", of="train"),
        split("new-colours", ("hue",), looks=known.new_hues),
        split("new-shapes", ("shape",), looks=known.new_shapes),
        split("more-objects", ("n_objects",), count=many),
        split("new-layout", ("east",), place=east),
        split("larger", ("cells",), cells=sizes[1]),
        split("open", ("openness",), openness=(0.4, 0.6)),
        split("recombination", ("shape", "hue"), looks=known.either, some=known.held_out),
        split("nuisance-easy", nuisance.NAMES, disturbed=nuisance.EASY),
        split("nuisance-hard", nuisance.NAMES, disturbed=nuisance.HARD),
    ]
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _fit(cell: float, hue_gap: float, a: Mapping, b: Mapping) -> np.ndarray:
    """Whether two landmarks are apart by a cell, of the smallest maze of all, and in hue."""
    far = np.maximum(np.abs(a["east"] - b["east"]), np.abs(a["north"] - b["north"])) > cell
    turn = np.abs(a["hue"] - b["hue"])
    return far & (np.minimum(turn, 1 - turn) >= hue_gap)


def carved(factors: Mapping[str, np.ndarray], room: int = 0) -> grids.Maze:
    """Which ways are open in mazes of these factors, in arrays of at least `room` cells a side."""
    return grids.carve(factors["layout"], factors["cells"], factors["openness"], room)


def n_behind(config: Config, factors: Mapping[str, np.ndarray]) -> Int64[np.ndarray, " b"]:
    """How many solids each scene has behind its landmarks: the walls within."""
    walls = grids.walls(carved(factors), factors["cells"], THICKNESS / CELL)
    return np.bincount(walls.maze, minlength=len(factors["cells"]))


def landmarks(factors: Mapping[str, np.ndarray]) -> tuple[Int64[np.ndarray, "b k 2"], Float64[np.ndarray, "b k 2"]]:
    """Column and row of each landmark's cell, and where its middle is, in metres."""
    cells = factors["cells"][:, None, None]
    cell = (np.stack([factors["east"], factors["north"]], -1) * cells).astype(np.int64)
    corner = factors["corner"][..., None] >> np.arange(2) & 1
    lean = LEAN - footprint(factors["shape"], factors["size"])[..., None]
    return cell, (cell + 0.5 - cells / 2) * CELL + lean * (2 * corner - 1)


def build(config: Config, factors: Mapping[str, np.ndarray]) -> scenes.Scenes:
    """Mazes from factors: those of the scene of shape (b,), of landmarks (b, k) padded, `n_objects` the real ones.

    Factors, in metres and radians: cells, openness, layout (see above); wall_texture, floor_texture (indices into
    `WALL_TEXTURES`, `FLOOR_TEXTURES`), wall_hue, floor_hue, light_azimuth, light_elevation (of the sun), n_objects; shape
    (index into `SHAPES`), hue, size, yaw; east, north (where between the maze's ends is the landmark's cell, in [0, 1)),
    corner (of that cell: 0 south-west, 1 south-east, 2 north-west, 3 north-east). Those of `nuisance` are told with the
    others and leave the maze as it is.
    """
    n, cells = np.asarray(factors["n_objects"]), np.asarray(factors["cells"])
    b, half = len(n), cells * CELL / 2
    walls = grids.walls(carved(factors), cells, THICKNESS / CELL)
    within = np.bincount(walls.maze, minlength=b)
    real = np.arange(factors["shape"].shape[1]) < n[:, None]
    offsets = np.concatenate([[0], np.cumsum(FIRST_OBJECT + n + within)]).astype(np.int32)
    first = offsets[:-1, None]
    outer = (first + np.arange(FIRST_OBJECT)).ravel()
    objects = (first + FIRST_OBJECT + np.arange(real.shape[1]))[real]
    # Walls come maze by maze: each one's number among all is that of its solid, less what stands before it.
    inner = np.arange(len(walls.maze)) + np.cumsum(FIRST_OBJECT + n)[walls.maze]

    total = int(offsets[-1])
    kind = np.full(total, scenes.KINDS.index("plane"), np.int32)
    size, position = np.zeros((2, total, 3), np.float32)
    rotation, colour = np.zeros((total, 4), np.float32), np.zeros((total, 2, 3), np.float32)
    texture, scale = np.zeros(total, np.int32), np.ones(total, np.float32)

    face, high = half - THICKNESS / 2, WALL_HEIGHT / 2
    away = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    size[outer, :2] = np.concatenate([half[:, None, None] + np.zeros((1, 1, 2)), _sheets(face, high)], 1).reshape(-1, 2)
    position[outer, :2] = (face[:, None, None] * away).reshape(-1, 2)
    position[outer, 2] = np.tile([0.0, high, high, high, high], b)
    rotation[outer] = np.tile(_OUTER, (b, 1))
    kind[inner] = scenes.KINDS.index("box")
    size[inner, 0], size[inner, 1:] = walls.length * CELL / 2, (THICKNESS / 2, high)
    position[inner, :2], position[inner, 2] = walls.middle * CELL - half[walls.maze, None], high
    rotation[inner] = _ALONG[walls.upright.astype(np.int64)]

    floors = np.array([scenes.TEXTURES.index(name) for name in FLOOR_TEXTURES])
    floor, wall = rgb(np.stack([factors["floor_hue"], factors["wall_hue"]])[..., None], *_SHADES)
    texture[first[:, 0]], scale[first[:, 0]] = floors[factors["floor_texture"]], 2.0
    colour[first[:, 0]] = floor
    for solids, of in ((outer.reshape(b, -1)[:, 1:].ravel(), np.repeat(np.arange(b), 4)), (inner, walls.maze)):
        texture[solids], scale[solids] = factors["wall_texture"][of], _WALL_SCALES[factors["wall_texture"][of]]
        colour[solids] = wall[of]

    shape, hue, extent, yaw = (factors[name][real] for name in ("shape", "hue", "size", "yaw"))
    stood = stand(shape, extent, *landmarks(factors)[1][real].T, yaw)
    kind[objects], size[objects] = stood["kind"], stood["size"]
    position[objects], rotation[objects] = stood["position"], stood["rotation"]
    colour[objects] = rgb(hue)[:, None]

    azimuth, elevation = factors["light_azimuth"], factors["light_elevation"]
    flat = np.cos(elevation)
    sun = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1).astype(np.float32)
    return scenes.Scenes(
        offsets=offsets, kind=kind, size=size, position=position, rotation=rotation, texture=texture,
        texture_scale=scale, colour=colour,
        light_position=sun[:, None],
        light_colour=np.full((b, 1, 3), 0.5, np.float32),
        light_is_sun=np.ones((b, 1), bool),
        ambient=np.full((b, 3), 0.54, np.float32),
        sky=np.tile(np.array([0.62, 0.78, 0.92], np.float32), (b, 1)),
        factors={name: np.asarray(value) for name, value in factors.items()},
        first_object=FIRST_OBJECT,
    )  # fmt: skip


# A plane is seen from its +z side; a camera looking along a heading has its +z axis the other way, y up.
_OUTER = np.concatenate(
    [np.float32([[1, 0, 0, 0]]), scenes.look(np.array([0, math.pi, math.pi / 2, -math.pi / 2]), np.zeros(4))]
)
_ALONG = np.float32([(1, 0, 0, 0), (math.sqrt(0.5), 0, 0, math.sqrt(0.5))])
"""Attitudes of walls that run east and north."""


def _sheets(face: np.ndarray, high: float) -> Float64[np.ndarray, "b 4 2"]:
    """Half extents of the outer walls."""
    return np.stack(np.broadcast_arrays(face[:, None] + np.zeros(4), high), -1)


def ring_poses(config: Config, key: int, index, n_views: int) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Cameras on a ring outside and above the largest training mazes, looking down into them.

    See `scenes.viewpoints.ring`.
    """
    side = config.cells[1] * CELL
    return viewpoints.ring(key, np.asarray(index), n_views, radius=0.5 * side, height=0.75 * side, aim=0.0)


def free_poses(
    config: Config, factors: Mapping[str, np.ndarray], key: int, index, n_views: int, height: float = 0.7
) -> Float32[np.ndarray, "b {n_views} 5"]:
    """Level cameras near the middles of cells of the mazes of `factors`, with any yaw; nothing is nearer than 0.3 m.

    Row i depends on `key`, `index[i]` and the maze's size alone.
    """
    u = seeds.uniform(key, np.asarray(index), 5 * n_views).reshape(-1, n_views, 5)
    cells = factors["cells"][:, None, None]
    spot = ((u[..., :2] * cells).astype(np.int64) + 0.5 - cells / 2) * CELL + (u[..., 2:4] - 0.5) * 0.2
    rows = [spot[..., 0], spot[..., 1], height, u[..., 4] * 2 * math.pi, 0.0]
    return np.stack(np.broadcast_arrays(*rows), -1).astype(np.float32)
