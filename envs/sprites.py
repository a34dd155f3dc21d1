"""Click on flat shapes and drag them where they belong: the tasks of COBRA, in Spriteworld's terms.

    python -m learners.train beta_vae --env sprites --env.task exploration
    python -m agents.train ppo --env sprites --encoder state

Description: sprites of the family `scenes.sprites` lie in the unit square, later ones on top. Nothing keeps them apart:
they pass over one another. `task` says what is wanted:

    goal-finding  every target (hue in [0, 0.4)) within 0.075 of the goal, whatever becomes of the distractors
    clustering    sprites of one colour close together and far from those of another
    sorting       every sprite within 0.075 of its colour's own place (`PLACES`)
    exploration   nothing: episodes to learn from, without a reward

Source: Watters et al., "COBRA: data-efficient model-based RL through unsupervised object discovery and curiosity-driven
exploration", 2019 (arXiv:1905.09275); numbers are those of github.com/google-deepmind/spriteworld, configs/cobra.

Actions: four numbers in [0, 1]: x and y of a click, then a motion. The topmost sprite under the click, if there is one,
moves by `scale` * (motion - 0.5); its middle stays within the frame. At the default size a sprite is 1.7 % of the frame,
so that uniformly random clicks nearly always miss: `moved` in `facts` tells which sprite moved, -1 for none, and a model
of transitions is to be judged where one did. The scripted player of exploration clicks on sprites and moves them at random.

Observations (choose with `sensors`):
    image, depth, ids  of the frame, from straight above, upright; depth is 1 m where there is no sprite
    pose               of the camera, which stays where it is
    goal               of goal-finding, the goal's x and y; of sorting, x and y of every colour's place, in the order of
                       `scenes.sprites.COLOURS`; else without numbers
    action             the action before
    state              25 numbers of every sprite, targets first, or those of each colour together in the order of
                       `scenes.sprites.COLOURS`, else from the lowest to the topmost: presence; x, y; sine, cosine of its
                       hue; saturation, value; size; sine, cosine of its yaw; how many lie below it, as a share of the most
                       there are; the way along x and y to where it is wanted, or in clustering to the middle of its colour's
                       sprites, zeros for sprites of no concern; its shape, one-hot. Zeros for those there are not

Reward, every step, after the motion (Spriteworld's `FindGoalPosition`, `MetaAggregated` and `Clustering`):
    goal-finding  50 * sum over targets of (0.075 - distance to the goal)
    sorting       20 * sum over sprites of (0.075 - distance to its place)
    clustering    5 * (1 / D - 2.5), where D is the index of Davies and Bouldin (1979): over colours, the mean of the largest
                  (S_i + S_j) / M_ij; S is the mean distance to the middle of a colour's sprites, M that between middles.
                  1 / D is at most 10 here; Spriteworld lets it grow without end as colours shrink to points
    exploration   0
plus `bonus` on success, minus `motion_cost` * |scale * (motion - 0.5)|. With `sparse` only success pays. With `shaping`, the
potential-based term of Ng, Harada and Russell (1999), the potential being the reward above of how things lie (0 once all is
done): with `sparse`, `shaping` 1 and `discount` 1 a step pays by how much it made that better.

Start: as drawn. In goal-finding the goal is the middle, as in COBRA, or with `goal` anywhere.

End: success (terminated): all distances at most 0.075, or 1 / D at least 2.5; or `max_steps` (truncated).

Splits: those of `scenes.sprites` for the task, COBRA's six pairs among them (`scenes.sprites.PAIRS`), and of goal-finding
    new-goal      the goal's x and y in [0.55, 0.8), where it never was in training
"""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float32, Int

import envs
import scenes
from envs import interventions
from envs.physics import clusters
from scenes import factors as fa
from scenes import sprites as family
from scenes.kit import errors, plugins
from scenes.solids import flat

STREAMS = ("Images", "Episodes")
FOV, EXTENT = family.FOV, family.EXTENT
PLACES = np.array([(0.75, 0.75), (0.75, 0.25), (0.25, 0.75), (0.25, 0.25), (0.5, 0.5)])
"""Where each of `scenes.sprites.COLOURS` belongs in sorting."""
WITHIN = 0.075
"""A sprite nearer than this to where it is wanted, in metres, is there."""
SEPARATE = 2.5
"""What 1 / D of clustering must reach."""
_STEPS = {"goal-finding": 20, "clustering": 50, "sorting": 50, "exploration": 10}
_GOAL = ("goal_x", "goal_y")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the environment and of its streams."""

    task: Literal["goal-finding", "clustering", "sorting", "exploration"] = "goal-finding"
    """What is wanted, and so what sprites there are."""
    n_targets: int = 1
    """Targets of goal-finding."""
    n_distractors: int = 1
    """Distractors of goal-finding."""
    n_per_colour: int = 2
    """Sprites of each of clustering's two colours."""
    n_sprites: int = 6
    """Most sprites of exploration; the fewest is one."""
    shapes: tuple[str, ...] = family.Config.shapes
    """Shapes of training."""
    new_shapes: tuple[str, ...] = family.Config.new_shapes
    """Shapes kept for the split `new-shapes`."""
    size: tuple[float, float] = family.Config.size
    """Range of the square root of a sprite's area, in metres."""
    new_size: tuple[float, float] = family.Config.new_size
    """The same, kept for the split `new-sizes`."""
    turned: bool = False
    """Whether sprites are turned by any angle; else they are upright."""
    held_out: tuple[str, ...] = family.Config.held_out
    """What training lacks, for splits of its own; see `scenes.sprites`."""
    goal: Literal["centre", "anywhere"] = "centre"
    """Where the goal of goal-finding is in training: at (0.5, 0.5); or in [0.2, 0.8) both ways, but for new-goal's part."""
    scale: float = 0.25
    """Metres per unit of motion: a sprite moves by at most half as much along x and y."""
    motion_cost: float = 0.0
    """Paid per metre of motion that is asked for, whether or not something moves."""
    bonus: float = 0.0
    """Reward of success, beside the rest."""
    sparse: bool = False
    """Whether nothing is paid before success."""
    shaping: float = 0.0
    """What the potential is multiplied by; 0: there is no such term."""
    discount: float = 1.0
    """Of the shaping term: 1, to be paid for every gain in full, or the agent's own."""
    max_steps: int = 0
    """Time limit of an episode; 0: COBRA's, which is 20 for goal-finding, 10 for exploration, else 50."""
    image_size: int = 64
    """Height and width of the environment's pictures, unless another size is asked for."""
    supersample: int = 3
    """Rays per pixel, along each edge of it, which smooth the sprites' edges."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        limits = {"max_steps": (0, 10**9), "scale": (1e-3, 2.0), "image_size": (1, 4096), "supersample": (1, 8)}
        errors.within("sprites", self, limits | {"motion_cost": (0.0, 1e3), "bonus": (0.0, 1e3)})
        for name, accepted in {"task": family.TASKS, "goal": ("centre", "anywhere")}.items():
            if getattr(self, name) not in accepted:
                raise errors.unknown(f"{name} of sprites", getattr(self, name), accepted)

    @classmethod
    def tiny(cls) -> "Config":
        """Small pictures, for tests."""
        return cls(image_size=16)

    @property
    def look(self) -> dict[str, bool | int]:
        """The options of the renderer."""
        return {"supersample": self.supersample}

    @property
    def scenery(self) -> family.Config:
        """The options of the family of scenes."""
        return family.Config(**{one.name: getattr(self, one.name) for one in dataclasses.fields(family.Config)})


def extent(config: Config) -> float:
    """Side in metres of the square about the z axis that holds everything."""
    return 2 * (1 + float(flat.REACH.max()) * max(config.size[1], config.new_size[1]))


@functools.lru_cache(maxsize=64)
def splits(config: Config) -> Mapping[str, fa.Split]:
    """The factor distributions by name, proved disjoint from training (or within it)."""
    known = dict(family.splits(config.scenery))
    if config.task == "goal-finding":
        square = lambda low, high: fa.box(goal_x=family.span(low, high), goal_y=family.span(low, high))
        new = square(0.55, 0.8)
        old = square(0.5, 0.5) if config.goal == "centre" else square(0.2, 0.8) - new
        known["new-goal"] = dataclasses.replace(known["train"], name="new-goal", novel=_GOAL)
        for name, split in known.items():
            known[name] = dataclasses.replace(split, scene=split.scene * (new if name == "new-goal" else old))
        fa.check_splits(known)
    return types.MappingProxyType(known)


def views(
    config: Config, split: str, seed: int, index: Int[np.ndarray, " b"], n_views: int
) -> tuple[scenes.Scenes, Float32[np.ndarray, "b {n_views} 5"]]:
    """Sprites `index` of (split, seed) and the pose from which they are seen, `n_views` times: a pure function."""
    known = splits(config)
    if split not in known:
        raise errors.unknown("split", split, known)
    drawn = known[split].sample(seed, index)
    # The goal is not seen.
    shown = {name: value for name, value in drawn.items() if name not in _GOAL}
    return family.build(config.scenery, shown), family.ring_poses(config.scenery, seed, index, n_views)


class World(envs.World):
    """`n` frames of sprites.

    Attributes:
        position: Float64 n k 2, middles of the sprites in metres.
        moved: Int64 n, which sprite the action before moved, -1 for none.
    """

    STATE: ClassVar[tuple[str, ...]] = ("position", "moved", "success", "action")

    def __init__(
        self, config: Config, n: int, split: str, seed: int, sensors: tuple[str, ...], size: tuple[int, int] | None
    ):
        self._split, size = envs.settle("sprites", splits(config), split, size, config.image_size)
        self._k = k = self._split.objects.width
        n_goal = {"goal-finding": 2, "sorting": PLACES.size}.get(config.task, 0)
        self._pose = family.ring_poses(config.scenery, 0, np.zeros(1), 1)[0, 0]
        sensor_spaces = {
            "image": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, family.EYE, size),
            "ids": spaces.Box(-1, k - 1, size, np.int32),
            "pose": spaces.Box(-4.0, 4.0, (5,)),
            "goal": spaces.Box(0.0, 1.0, (n_goal,)),
            "action": spaces.Box(0.0, 1.0, (4,)),
            "state": spaces.Box(-1.0, 1.0, (k * (13 + len(family.SHAPES)),)),
        }
        max_steps = config.max_steps or _STEPS[config.task]
        super().__init__(config, n, split, seed, sensors, size, max_steps, spaces.Box(0.0, 1.0, (4,)), sensor_spaces)
        self._drawn = bool({"image", "depth", "ids"} & set(sensors))
        self._renderer = plugins.load("scenes.renderers", config.renderer, "renderer") if self._drawn else None
        self._handle = None
        self.position, self.action = np.zeros((n, k, 2)), np.zeros((n, 4), np.float32)
        self.moved, self.success = np.full(n, -1, np.int64), np.zeros(n, bool)
        self._colour, self._wanted = np.full((n, k), -1), np.zeros((n, k, 2))
        self._shown, self._turn = np.zeros(n, np.int64), np.tile(np.float32([1, 0, 0, 0]), (n, k, 1))

    def begin(self, rows, index, factors):
        """Lay the sprites out."""
        drawn = self._mixed(self._sample(rows, index), factors or {})
        colour = self._colours(rows, drawn)
        self.position[rows] = np.stack([drawn["x"], drawn["y"]], -1)
        self.moved[rows], self.success[rows], self.action[rows] = -1, False, 0
        self._take(rows, drawn, colour)

    def change(self, rows, factors):
        """Change the sprites; those whose `x` or `y` change, or that were not there, come to lie there."""
        before = {name: value[rows] for name, value in self._factors.items()}
        drawn = self._mixed(before, factors)
        colour = self._colours(rows, drawn)
        came = (before["n_objects"][:, None] <= np.arange(self._k)) | (
            np.arange(self._k) >= drawn["n_objects"][:, None]
        )
        came |= (before["x"] != drawn["x"]) | (before["y"] != drawn["y"])
        there = np.stack([drawn["x"], drawn["y"]], -1)
        self.position[rows] = np.where(came[..., None], there, self.position[rows])
        self._take(rows, drawn, colour)

    def _take(self, rows: np.ndarray, drawn: dict, colour: np.ndarray) -> None:
        """Let worlds `rows` have factors that are known to be sound."""
        self._keep(rows, drawn)
        self._colour[rows] = colour
        if self.config.task == "goal-finding":
            self._wanted[rows] = np.stack([drawn[name] for name in _GOAL], 1)[:, None]
        else:
            self._wanted[rows] = PLACES[colour]
        if self._drawn:
            self._show(rows)

    def _mixed(self, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
        """Factors of some worlds with those that were asked for in their place, padded with zeros."""
        limits = family.LIMITS | dict.fromkeys(_GOAL, (0.0, 1.0)) | {"n_objects": (1, self._k)}
        mixed = drawn | interventions.checked("sprites", factors, drawn, limits)
        return interventions.padded(mixed, self._k)

    def _colours(self, rows: np.ndarray, drawn: dict) -> np.ndarray:
        """Number of every sprite's colour, 0 for targets; -1 for sprites that are of no concern.

        Raises:
            errors.CaveError: there is nothing to do in a world, or a sprite has no size.
        """
        real = np.arange(self._k) < drawn["n_objects"][:, None]
        named = {"goal-finding": [family.TARGETS], "exploration": []}
        ranges = named.get(self.config.task, list(family.COLOURS.values()))
        colour = np.full(real.shape, -1)
        for number, (low, high) in enumerate(ranges):
            colour[real & (drawn["hue"] >= low) & (drawn["hue"] < high)] = number
        kinds = (colour[..., None] == np.arange(len(ranges))).any(1).sum(1)
        least, wanted = {
            "goal-finding": (1, f"there would be no target, of hue in {family.TARGETS}"),
            "clustering": (2, "there would be no two colours"),
            "sorting": (1, "there would be no sprite of one of the colours"),
        }.get(self.config.task, (0, ""))
        faults = {"a sprite would be of no size": (real & (drawn["size"] <= 0)).any(1), wanted: kinds < least}
        self._refuse(rows, faults)
        return colour

    def _show(self, rows: np.ndarray) -> None:
        """Hand the sprites of worlds `rows` to the renderer."""
        # Worlds that have not begun show the sprites of one that has, until their turn comes.
        places = source = rows
        if self._handle is None:
            places = np.arange(self.n)
            source = np.where(np.isin(places, rows), places, rows[0])
        built = family.build(self.config.scenery, {name: value[source] for name, value in self._factors.items()})
        self._shown[places] = self._factors["n_objects"][source]
        self._turn[rows] = family.turn(self._factors["yaw"][rows].ravel()).reshape(len(rows), self._k, 4)
        if self._handle is None:
            self._handle = self._renderer.load(built, **self.config.look, sensors=envs.pictured(self.sensors))
        else:
            self._handle.update(built, rows)

    def topmost(self, point: np.ndarray) -> np.ndarray:
        """Which sprite of each world lies on top at points n p 2: int n p, -1 where there is none."""
        shape, size, yaw = (self._factors[name] for name in ("shape", "size", "yaw"))
        away = point[:, :, None] - self.position[:, None]
        reach = np.where(np.arange(self._k) < self._factors["n_objects"][:, None], flat.REACH[shape] * size, -1)
        # Most sprites are too far away for a closer look.
        there = (np.abs(away) <= reach[:, None, :, None]).all(-1)
        world, _, sprite = near = np.nonzero(there)
        there[near] = flat.holds(shape[world, sprite], size[world, sprite], yaw[world, sprite], away[near])
        return np.where(there.any(-1), self._k - 1 - there[..., ::-1].argmax(-1), -1)

    def advance(self, actions):
        """Move what lies on top under the click, and see how things lie."""
        self.action[...] = actions
        wish = actions.astype(np.float64)
        motion = self.config.scale * (wish[:, 2:] - 0.5)
        shaping = self.config.shaping
        before = self._result()[0] if shaping else 0.0
        self.moved = self.topmost(wish[:, None, :2])[:, 0]
        hit = np.flatnonzero(self.moved >= 0)
        which = self.moved[hit]
        self.position[hit, which] = np.clip(self.position[hit, which] + motion[hit], 0, 1)
        dense, self.success = self._result()
        reward = np.where(self.success, dense + self.config.bonus, 0 if self.config.sparse else dense)
        reward = reward - self.config.motion_cost * np.linalg.norm(motion, axis=1)
        reward = reward + shaping * (self.config.discount * np.where(self.success, 0, dense) - before)
        return reward.astype(np.float32), self.success.copy()

    def _result(self) -> tuple[np.ndarray, np.ndarray]:
        """What the sprites' places are worth, and whether the task is done."""
        task = self.config.task
        if task == "exploration":
            return np.zeros(self.n), np.zeros(self.n, bool)
        if task == "clustering":
            apart = clusters.separation(self.position, self._colour, len(family.COLOURS))
            return 5 * (apart - SEPARATE), apart >= SEPARATE
        left = np.where(self._colour >= 0, WITHIN - np.linalg.norm(self.position - self._wanted, axis=-1), 0)
        return (50 if task == "goal-finding" else 20) * left.sum(1), (left >= 0).all(1)

    def read(self, rows):
        """The sensors asked for, of some worlds."""
        pose = np.tile(self._pose, (len(rows), 1))
        out = {"pose": pose, "action": self.action[rows]}
        if self._drawn:
            real = np.arange(self._k) < self._shown[:, None]
            poses = family.lay(self.position[real], np.nonzero(real)[1]), self._turn[real]
            frames = self._handle.render(scenes.watch(family, pose, *self.size, rows), poses)
            out |= {"image": frames.rgb, "depth": frames.depth, "ids": frames.ids}
        if "depth" in self.sensors:
            out["depth"] = np.minimum(out["depth"], np.float32(family.EYE))
        if "goal" in self.sensors:
            goal = {"goal-finding": self._wanted[rows, 0], "sorting": np.tile(PLACES.ravel(), (len(rows), 1))}
            out["goal"] = goal.get(self.config.task, np.zeros((len(rows), 0)))
        if "state" in self.sensors:
            out["state"] = self._state(rows)
        return {sensor: out[sensor] for sensor in self.sensors}

    def _state(self, rows: np.ndarray) -> np.ndarray:
        f = {name: value[rows] for name, value in self._factors.items()}
        present = np.arange(self._k) < f["n_objects"][:, None]
        hue, (x, y) = f["hue"] * 2 * math.pi, np.moveaxis(self.position[rows], -1, 0)
        numbers = (present, x, y, np.sin(hue), np.cos(hue), f["saturation"], f["value"], f["size"])
        layer = np.broadcast_to(np.arange(self._k) / self._k, present.shape)
        numbers = np.stack([*numbers, np.sin(f["yaw"]), np.cos(f["yaw"]), layer], -1)
        seen = np.concatenate([numbers, self._way(rows), np.eye(len(family.SHAPES))[f["shape"]]], -1)
        # Layers are drawn at random: sorted by them, nothing that a policy wants to know would be where it was before.
        concern = np.where(self._colour[rows] >= 0, self._colour[rows], len(family.COLOURS))
        order = np.argsort(np.where(present, concern, len(family.COLOURS) + 1), 1, kind="stable")
        seen = np.take_along_axis(seen * present[..., None], order[..., None], 1)
        return seen.reshape(len(rows), -1)

    def _way(self, rows: np.ndarray) -> np.ndarray:
        """From each sprite that is of concern to where it is wanted, or to the middle of its colour's."""
        colour, place = self._colour[rows], self.position[rows]
        wanted = self._wanted[rows]
        if self.config.task == "clustering":
            same = (colour[:, :, None] == colour[:, None]).astype(float)
            wanted = (same @ place) / same.sum(-1, keepdims=True)
        return np.where((colour >= 0)[..., None], wanted - place, 0)

    def facts(self):
        """`factors`, of which x and y are those at the start; `moved`, which sprite the action before moved; `success`."""
        factors = {name: value.copy() for name, value in self._factors.items()}
        return {"factors": factors, "moved": self.moved.copy(), "success": self.success.copy()}

    def scripted(self):
        """Drags the sprite that is furthest from where it is wanted, by a part of it that can be seen."""
        every, chance = np.arange(self.n), self.random().astype(np.float64)
        away = self._wanted - self.position
        far = np.where(self._colour >= 0, np.linalg.norm(away, axis=-1), -1)
        chosen = far.argmax(1)
        if self.config.task == "exploration":
            chosen = (chance[:, 0] * self._factors["n_objects"]).astype(np.int64)
        shape, size, yaw = (self._factors[name][every, chosen] for name in ("shape", "size", "yaw"))
        offers = np.pad(0.85 * flat.corners(shape, size, yaw), ((0, 0), (1, 0), (0, 0)))
        offers += self.position[every, chosen][:, None]
        good = (self.topmost(offers) == chosen[:, None]) & (np.abs(offers - 0.5) <= 0.5).all(-1)
        if self.config.task == "exploration":
            # Any of them, rather than the first.
            first = (good * (1 + (chance[:, 1:2] + np.arange(good.shape[1]) * 0.618) % 1)).argmax(1)
        else:
            first = good.argmax(1)
        motion = np.clip(0.5 + away[every, chosen] / self.config.scale, 0, 1)
        # What lies on top of a hidden one is moved out of the way.
        aimless = ~good.any(1) | (self.config.task == "exploration")
        motion = np.where(aimless[:, None], chance[:, 2:], motion)
        return np.concatenate([offers[every, first], motion], 1).astype(np.float32)
