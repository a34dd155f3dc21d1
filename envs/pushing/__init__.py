"""What pushing bodies on a table to a goal is made of, besides the simulators: starts, pictures, and a player.

A start is a function of (config, split, seed, index): scenes are drawn until one has a body that its name tells apart,
bodies that came to rest on the table, a goal that is free and not near, and a place for the rod. Where bodies are dropped,
each goes above its place, turned by `tilt` about a level axis and higher than those it might meet in the air; places are
drawn together towards the middle, so that bodies fall on each other.
"""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

import scenes
from envs.physics import tables
from envs.physics.looks import product
from scenes import factors as fa
from scenes import tabletop as family
from scenes.kit import errors, seeds

NAMES = {"colour": "hue", "shape": "shape"}
"""Of every way to name a target, the factor that it goes by."""
GOAL = ("goal_x", "goal_y")
GOALS, EAST = 0.28, 0.1
"""Goals lie within this of the middle along x and along y, in metres; those beyond the second are the split `new-goal`'s."""
LIMIT = family.SIDE / 2 - 0.005
"""How far the rod goes from the middle along x and along y, in metres."""
REST = family.SIDE / 2 - 0.1
"""Bodies that came to rest further out are hard to get behind: another scene is drawn."""
_AWAY = 5.0
_AIR = 0.01
"""Metres of air below a body that is let go."""
_FALLS, _FALL, _KEPT, _REST = 40, 12, 0.3, 80
"""How often bodies lose speed while they fall at most, after how many timesteps, how much they keep, and for how many
they must rest."""
_STILL, _SLOW = 1e-3, 0.02
"""A body rests that moved less than this (metres, or a quaternion's numbers), and is slower than this."""
_ATTEMPTS, _ASKED, _PLACES, _TWINS = 512, 128, 24, 0.04
"""The second: where factors were asked for, with which there may be no start at all."""
_KEY = ("tabletop", "starts")
_MARK = (0.06, 0.06, 0.08)
_METAL = (0.93, 0.93, 0.96)


def with_goals(known: Mapping[str, fa.Split]) -> dict[str, fa.Split]:
    """Splits of the family with a goal in each, and one more, whose goals lie in the east, where training has none."""
    side = fa.Interval(-GOALS, GOALS)
    old = fa.box(goal_x=fa.Interval(-GOALS, EAST), goal_y=side)
    new = fa.box(goal_x=fa.Interval(EAST, GOALS), goal_y=side)
    out = {name: _goaled(split, old) for name, split in known.items()}
    east = _goaled(known["train"], new)
    out["new-goal"] = dataclasses.replace(east, name="new-goal", novel=GOAL)
    fa.check_splits(out)
    return out


def _goaled(split: fa.Split, goal: fa.Distribution) -> fa.Split:
    return dataclasses.replace(split, scene=split.scene * goal)


def there(factors: Mapping[str, np.ndarray]) -> Bool[np.ndarray, "b k"]:
    """Which bodies there are."""
    return np.arange(factors["shape"].shape[1]) < np.asarray(factors["n_objects"])[:, None]


def rims(factors: Mapping[str, np.ndarray]) -> Float64[np.ndarray, "b k"]:
    """Radii of discs that hold the bodies; below zero where there is none."""
    return np.where(there(factors), family.ball(factors["shape"], factors["size"]), -1.0)


def bodies(factors: Mapping[str, np.ndarray]) -> tables.Bodies:
    """What a simulator must know of them."""
    kind, size = family.solid(factors["shape"], factors["size"])
    return tables.Bodies(there(factors), kind, size, factors["density"], factors["friction"])


def twins(name: str, factors: Mapping[str, np.ndarray]) -> Bool[np.ndarray, "b k"]:
    """Which bodies share the factor that names the target with another one."""
    named, real = factors[NAMES[name]], there(factors)
    apart = np.abs(named[:, :, None] - named[:, None])
    # The family keeps hues further apart than this; interventions may not.
    same = np.minimum(apart, 1 - apart) < _TWINS if name == "colour" else apart == 0
    return (same & real[:, None] & ~np.eye(real.shape[1], dtype=bool)).any(-1)


def faults(config: Any, factors: Mapping[str, np.ndarray]) -> dict[str, Bool[np.ndarray, " b"]]:
    """What keeps some tables from being, before anything moves: reason -> which of them."""
    real, place = there(factors), np.stack([factors["x"], factors["y"]], -1)
    radius = family.footprint(factors["shape"], factors["size"])
    off = np.abs(place).max(-1) + radius > family.SIDE / 2
    goal = np.stack([factors[name] for name in GOAL], -1)
    out = {
        "a body would be smaller than 2 cm": (real & (factors["size"] < 0.01)).any(1),
        "a body would have no weight": (real & (factors["density"] < 1)).any(1),
        "a body would stand over the edge of the table": (real & off).any(1),
        "the goal would not be on the table": np.abs(goal).max(-1) > family.SIDE / 2 - config.within,
    }
    if config.start == "placed":
        pairs = real[:, :, None] & real[:, None] & ~np.eye(real.shape[1], dtype=bool)
        out["two bodies would overlap"] = (pairs & (_gaps(place, radius, place, radius) < 0)).any((1, 2))
    return out


def _gaps(a: np.ndarray, a_radius: np.ndarray, b: np.ndarray, b_radius: np.ndarray) -> Float[np.ndarray, "b m n"]:
    """Distances between the rims of two groups of discs."""
    away = np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)
    return away - a_radius[:, :, None] - b_radius[:, None]


def crowded(
    factors: Mapping[str, np.ndarray],
    anew: Bool[np.ndarray, "b k"],
    poses: Float64[np.ndarray, "b k 7"],
    rod: Float64[np.ndarray, "b 2"],
) -> Bool[np.ndarray, " b"]:
    """Where one of the bodies that are put somewhere `anew` would stand in another body, or in the rod."""
    real, radius = there(factors), family.ball(factors["shape"], factors["size"])
    stands = np.where(anew, family.footprint(factors["shape"], factors["size"]), radius)
    gaps = _gaps(poses[..., :2], stands, poses[..., :2], stands)
    pairs = real[:, :, None] & real[:, None] & (anew[:, :, None] | anew[:, None])
    pairs &= ~np.eye(real.shape[1], dtype=bool)
    to_rod = _gaps(poses[..., :2], stands, rod[:, None], np.full((len(rod), 1), tables.ROD_RADIUS))[..., 0]
    return (pairs & (gaps < 0)).any((1, 2)) | (anew & (to_rod < 0)).any(1)


def laid(factors: Mapping[str, np.ndarray]) -> Float64[np.ndarray, "b k 7"]:
    """Poses of bodies that rest where their factors say; `tables.parked` for those there are not."""
    real = there(factors)
    pose = np.concatenate(family.rest(*(factors[name] for name in ("shape", "size", "x", "y", "yaw"))), -1)
    return np.where(real[..., None], pose, tables.parked(real.shape[1]))


def above(config: Any, factors: Mapping[str, np.ndarray]) -> Float64[np.ndarray, "b k 7"]:
    """Poses in which they are let go."""
    pose, real = laid(factors), there(factors)
    spot = np.stack([factors["x"], factors["y"]], -1) * config.spread
    radius = family.ball(factors["shape"], factors["size"])
    height = np.zeros(real.shape)
    for j in range(real.shape[1]):
        # Above whatever it might meet on its way.
        meets = (np.linalg.norm(spot[:, :j] - spot[:, j, None], axis=-1) < radius[:, :j] + radius[:, j, None]) & real[
            :, :j
        ]
        tops = np.where(meets, height[:, :j] + radius[:, :j], 0.0).max(1, initial=0.0)
        height[:, j] = tops + _AIR + radius[:, j]
    half = factors["tilt"][..., None] / 2
    tilt = np.concatenate([np.cos(half), np.sin(half), np.zeros((*real.shape, 2))], -1)
    dropped = np.concatenate([spot, family.HIGH + height[..., None], product(tilt, pose[..., 3:])], -1)
    return np.where(real[..., None], dropped, pose)


def settle(table: Any, rows: Int[np.ndarray, " b"], qpos: Float64[np.ndarray, "b q"]) -> tuple[np.ndarray, np.ndarray]:
    """Let everything fall on tables `rows`; returns positions, and on which of them all has come to rest.

    It falls as through honey, losing most of its speed now and then: else a heap would scatter, and balls roll for long.
    What then seems to rest must stay where it is when nothing holds it back.
    """
    qpos, still = qpos.copy(), np.zeros(len(rows), bool)
    qvel = np.zeros((len(rows), 2 + (qpos.shape[1] - 2) // 7 * 6))
    for _ in range(_FALLS):
        left = np.flatnonzero(~still)
        if not len(left):
            break
        before = qpos[left]
        qpos[left], qvel[left] = table.run(rows[left], before, qvel[left], _FALL)
        qvel[left] *= _KEPT
        calm = left[np.abs(qpos[left] - before).max(1) < _STILL]
        if len(calm):
            before = qpos[calm]
            qpos[calm], qvel[calm] = table.run(rows[calm], before, np.zeros_like(qvel[calm]), _REST)
            still[calm] = (np.abs(qpos[calm] - before).max(1) < _STILL) & (np.abs(qvel[calm, 2:]).max(1) < _SLOW)
    return qpos, still & ~table.lost()[rows]


def starts(
    config: Any,
    split: fa.Split,
    seed: int,
    index: Int[np.ndarray, " b"],
    table: Any,
    rows: Int[np.ndarray, " b"],
    mix: Callable[[dict, np.ndarray], dict] | None,
    refusal: Callable[[int, str], Exception],
) -> tuple[dict[str, np.ndarray], Float64[np.ndarray, "b q"], Int[np.ndarray, " b"]]:
    """Factors, positions and targets with which episodes begin, whose bodies then lie on tables `rows`.

    Args:
        config: Of the environment.
        split: Where scenes come from.
        seed: Of the scenes.
        index: Numbers of the scenes, below 2^53.
        table: A simulator's, which has as many rows.
        rows: Which of its tables.
        mix: Puts what was asked for in the place of factors drawn for some of the `index`; None: nothing was.
        refusal: The error that says why one of the `index` has no start.
    """
    b, key = len(index), seeds.derive(seed, *_KEY)
    width = 2 + 7 * split.objects.width
    factors, qpos, target = {}, np.zeros((b, width)), np.zeros(b, np.int64)
    pending = np.arange(b)
    attempts = _ASKED if mix else _ATTEMPTS
    for attempt in range(attempts):
        # Indices are below 2^53, so those of later attempts are nobody else's.
        number = index[pending] + (attempt << 53)
        drawn = split.sample(seed, number)
        why = {}
        if mix:
            drawn = mix(drawn, pending)
            why = faults(config, drawn)
        u = seeds.uniform(key, number, 1 + 2 * _PLACES)
        order = np.cumsum(there(drawn) & ~twins(config.goal, drawn), 1)
        chosen = (order > u[:, :1] * order[:, -1:]).argmax(1)
        why[f"no body that its {config.goal} tells apart"] = order[:, -1] == 0
        dropped = config.start == "dropped"
        poses = above(config, drawn) if dropped else laid(drawn)
        # While bodies fall the rod is away.
        begun = np.concatenate([np.full((len(pending), 2), _AWAY), poses.reshape(len(pending), -1)], 1)
        if dropped:
            good = ~np.any(list(why.values()), 0)
            some, at = np.flatnonzero(good), rows[pending[good]]
            if len(some):
                table.furnish(at, bodies({name: value[some] for name, value in drawn.items()}))
                begun[some], good[some] = settle(table, at, begun[some])
            why["bodies that do not come to rest"] = ~good
        why |= _ends(config, drawn, tables.poses(begun), chosen)
        begun[:, :2], crowded = _rod(drawn, tables.poses(begun), u[:, 1:].reshape(-1, _PLACES, 2))
        why["no place for the rod"] = crowded
        good = ~np.any(list(why.values()), 0)
        for name, value in drawn.items():
            factors.setdefault(name, np.zeros((b, *value.shape[1:]), value.dtype))[pending] = value
        qpos[pending], target[pending] = begun, chosen
        if attempt == attempts - 1 and not good.all():
            row = int(np.argmin(good))
            told = next(reason for reason, which in why.items() if which[row])
            raise refusal(int(pending[row]), f"{told}, in {attempts} scenes; ask for other factors")
        pending = pending[~good]
        if not len(pending):
            break
    if config.start == "placed":
        table.furnish(rows, bodies(factors))
    return factors, qpos, target


def _ends(config: Any, factors: dict, poses: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """What is wrong with how bodies came to lie."""
    every, real = np.arange(len(target)), there(factors)
    place, goal = poses[..., :2], np.stack([factors[name] for name in GOAL], -1)
    away = np.linalg.norm(place - goal[:, None], axis=-1)
    radius = family.ball(factors["shape"], factors["size"])
    taken = real & (away < radius + config.within)
    taken[every, target] = False
    out = {
        "a body that rests at the table's edge or beyond": (
            real & ((np.abs(place).max(-1) > REST) | (poses[..., 2] < family.HIGH))
        ).any(1),
        f"a target nearer to its goal than {config.nearest:g} m": away[every, target] < config.nearest,
        f"a target further from its goal than {config.farthest:g} m": away[every, target] > config.farthest,
        "another body at the goal": taken.any(1),
    }
    return out


def _rod(factors: dict, poses: np.ndarray, u: np.ndarray) -> tuple[Float64[np.ndarray, "b 2"], Bool[np.ndarray, " b"]]:
    """Where the rod begins: the first free one of places made of uniform numbers; and where there is none."""
    spots = (u * 2 - 1) * LIMIT
    radius = np.where(there(factors), family.ball(factors["shape"], factors["size"]), -1.0)
    gaps = _gaps(spots, np.full(spots.shape[:2], tables.ROD_RADIUS + 0.02), poses[..., :2], radius)
    free = (gaps > 0).all(-1)
    return spots[np.arange(len(u)), free.argmax(1)], ~free.any(1)


def shown(
    config: Any, factors: Mapping[str, np.ndarray], qpos: Float64[np.ndarray, "b q"] | None = None
) -> scenes.Scenes:
    """Scenes of the family, and after the bodies of each a dark disc, which is the goal, and a light rod.

    Args:
        config: Of the environment.
        factors: Of the scenes.
        qpos: Where rod and bodies are; None where poses are told with each picture.
    """
    batch = family.build(config.scenery, factors)
    b, ends = len(batch), batch.offsets[1:]
    goal = np.stack([*(factors[name] for name in GOAL), np.full(b, family.HIGH + 5e-4)], -1)
    disc, capsule = (scenes.KINDS.index(name) for name in ("cylinder", "capsule"))
    size = np.array([(config.within, 5e-4, 0), (tables.ROD_RADIUS, tables.ROD_HALF, 0)])
    new = {
        "kind": np.tile([disc, capsule], b),
        "size": np.tile(size, (b, 1)),
        "position": np.stack([goal, np.tile(rod_at(np.zeros(2)), (b, 1))], 1).reshape(-1, 3),
        "rotation": np.tile([1.0, 0, 0, 0], (2 * b, 1)),
        "texture": np.zeros(2 * b), "texture_scale": np.ones(2 * b),
        "colour": np.tile(np.array([_MARK, _METAL])[:, None], (b, 2, 1)),
        "mesh": np.full(2 * b, -1), "image": np.full(2 * b, -1),
    }  # fmt: skip
    at = np.repeat(ends, 2)
    solids = {
        name: np.insert(getattr(batch, name), at, new[name].astype(getattr(batch, name).dtype), axis=0)
        for name in scenes.SOLID_FIELDS
    }
    offsets = batch.offsets + 2 * np.arange(b + 1, dtype=batch.offsets.dtype)
    if qpos is not None:
        position, rotation, real = moved(factors, qpos)
        solids["position"], solids["rotation"] = position[real].astype(np.float32), rotation[real].astype(np.float32)
    fields = {name: getattr(batch, name) for name in _SCENE_FIELDS}
    return scenes.Scenes(offsets=offsets, **solids, **fields, factors=batch.factors, first_object=batch.first_object)


_SCENE_FIELDS = ("light_position", "light_colour", "light_is_sun", "ambient", "sky")


def rod_at(place: Float64[np.ndarray, "*b 2"]) -> Float64[np.ndarray, "*b 3"]:
    """The middle of a rod over a place on the table."""
    high = family.HIGH + tables.ROD_CLEAR + tables.ROD_RADIUS + tables.ROD_HALF
    return np.concatenate([place, np.full((*place.shape[:-1], 1), high)], -1)


def moved(
    factors: Mapping[str, np.ndarray], qpos: Float64[np.ndarray, "b q"]
) -> tuple[Float64[np.ndarray, "b s 3"], Float64[np.ndarray, "b s 4"], Bool[np.ndarray, "b s"]]:
    """Where all solids of `shown` scenes are, padded for bodies that there are not; and which of them there are."""
    b, poses = len(qpos), tables.poses(qpos)
    goal = np.stack([*(factors[name] for name in GOAL), np.full(b, family.HIGH + 5e-4)], -1)
    scenery = [(0, 0, 0), (0, 0, (family.HIGH - family.THICK) / 2), (0, 0, family.HIGH - family.THICK / 2)]
    position = [np.tile(np.array(scenery), (b, 1, 1)), poses[..., :3], goal[:, None], rod_at(qpos[:, :2])[:, None]]
    upright = lambda n: np.tile([1.0, 0, 0, 0], (b, n, 1))
    real = np.pad(there(factors), ((0, 0), (family.FIRST_OBJECT, 2)), constant_values=True)
    rotation = np.concatenate([upright(family.FIRST_OBJECT), poses[..., 3:], upright(2)], 1)
    return np.concatenate(position, 1), rotation, real


def table(simulator: str, n: int, k: int, refusal: Callable[[int, str], Exception]) -> Any:
    """`n` tables of up to `k` bodies in a simulator; the error names one by its row and says why.

    Raises:
        errors.CaveError: the simulator is missing.
    """
    size = n, k, family.SIDE / 2, family.HIGH, family.THICK
    if simulator == "mujoco":
        from envs.physics.tables import mujoco

        return mujoco.Table(*size)
    from envs.physics.tables import bullet  # needs PyBullet, which not every machine has

    return bullet.Table(*size, refusal)


@functools.lru_cache(maxsize=4)
def _workshop(n: int, k: int) -> tuple[Any, threading.Lock]:
    return table("mujoco", n, k, lambda row, why: errors.CaveError(f"table {row}: {why}")), threading.Lock()


def still(
    config: Any, split: fa.Split, seed: int, index: Int[np.ndarray, " b"], refusal: Callable[[int, str], Exception]
) -> scenes.Scenes:
    """Scenes as episodes begin, whose bodies MuJoCo let fall: a pure function."""
    tools, lock = _workshop(len(index), split.objects.width)
    with lock:
        factors, qpos, _ = starts(config, split, seed, index, tools, np.arange(len(index)), None, refusal)
    return shown(config, factors, qpos)


def behind(
    body: Float64[np.ndarray, "b 2"], goal: Float64[np.ndarray, "b 2"], away: Float64[np.ndarray, " b"]
) -> Float64[np.ndarray, "b 2"]:
    """Places from which bodies are pushed straight to their goals, so far from their middles."""
    return body - _unit(goal - body) * away[:, None]


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def play(
    rod: Float64[np.ndarray, "b 2"],
    bodies: Float64[np.ndarray, "b k 2"],
    rims: Float64[np.ndarray, "b k"],
    target: Int[np.ndarray, " b"],
    goal: Float64[np.ndarray, "b 2"],
    stride: float,
) -> Float64[np.ndarray, "b 2"]:
    """Steps of a player in metres, which goes around bodies to behind its target, and then pushes that to its goal.

    Args:
        rod: Where the rod is.
        bodies: The middles of the bodies.
        rims: Radii of discs that hold them; below zero where there is none.
        target: Which of them is to go.
        goal: Where it is wanted.
        stride: Longest step along x and along y.
    """
    every = np.arange(len(rod))
    body, radius = bodies[every, target], rims[every, target]
    others = np.where(np.arange(rims.shape[1]) == target[:, None], -1.0, rims)
    ahead = _unit(goal - body)
    side = np.stack([-ahead[:, 1], ahead[:, 0]], -1)
    off = rod - body
    along, aside = (off * ahead).sum(-1), (off * side).sum(-1)
    clear = radius + tables.ROD_RADIUS + 0.012
    # Behind it and nearly in line, it pushes, and keeps to the line.
    pushing = (along < 0) & (np.abs(aside) < 0.35 * radius)
    push = ahead * stride - side * np.clip(0.6 * aside, -stride, stride)[:, None]
    # Elsewhere it goes to the place behind, on a circle if that is on the other side.
    behind = -ahead * clear[:, None]
    turn = np.arctan2(behind[:, 1], behind[:, 0]) - np.arctan2(off[:, 1], off[:, 0])
    turn = (turn + math.pi) % (2 * math.pi) - math.pi
    far = np.linalg.norm(off, axis=-1)
    bend = np.clip(turn, -1, 1) * np.minimum(1, stride / clear)
    c, s, out = np.cos(bend), np.sin(bend), _unit(off)
    ring = np.stack([c * out[:, 0] - s * out[:, 1], s * out[:, 0] + c * out[:, 1]], -1) * clear[:, None]
    # What lies in the way is the disc, unless the straight way passes beside it.
    way = behind - off
    at = np.clip(-(off * way).sum(-1) / np.maximum((way * way).sum(-1), 1e-12), 0, 1)
    nearest = np.linalg.norm(off + at[:, None] * way, axis=-1)
    straight = nearest > clear - 0.006
    step = np.where(straight[:, None], way, np.where((far > clear + 2 * stride)[:, None], -off, ring - off))
    # Near the body others are pushed aside, or it would go to and fro between the two.
    step = np.where((far > clear + 0.06)[:, None], _skirt(rod, step, body + behind, bodies, others, stride), step)
    step = np.where(pushing[:, None], push, step)
    # The longest step in its own direction.
    return step * np.minimum(1, stride / np.maximum(np.abs(step).max(-1, keepdims=True), 1e-9))


def _skirt(rod, step, to, bodies, rims, stride) -> Float64[np.ndarray, "b 2"]:
    """Steps that lead around the nearest of the other bodies where they would lead into it, unless it lies where the rod is
    to go: then it is pushed away."""
    every = np.arange(len(rod))
    off = rod[:, None] - bodies
    gap = np.linalg.norm(off, axis=-1) - rims - tables.ROD_RADIUS
    barred = np.linalg.norm(to[:, None] - bodies, axis=-1) < rims + tables.ROD_RADIUS + 0.015
    gap = np.where((rims >= 0) & ~barred, gap, np.inf)
    first = np.argmin(gap, 1)
    off, gap = off[every, first], gap[every, first]
    out = off / np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), 1e-9)
    inward = (step * out).sum(-1)
    aside = np.stack([-out[:, 1], out[:, 0]], -1)
    aside *= np.where((step * aside).sum(-1, keepdims=True) >= 0, 1, -1)
    way = aside * np.linalg.norm(step, axis=-1, keepdims=True) + out * np.clip(0.01 - gap, 0, stride)[:, None]
    return np.where(((gap < stride + 0.005) & (inward < 0))[:, None], way, step)
