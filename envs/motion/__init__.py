"""What the environments of Hamilton's mechanics share: options, splits, and one function that makes their `World`.

An environment says what it is in a `System`: how it begins, where its balls are, and in which ranges its numbers lie. A
number is fixed, as in Toth et al. (2020), or drawn for each episode and then kept, as in Botev et al. (2021).
"""

import dataclasses
import functools
import math
import operator
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Float64

import envs
from envs import interventions
from envs.motion import stage
from envs.physics import hamiltonian
from scenes import balls
from scenes import factors as fa
from scenes.kit import errors, seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """What a number may be: `fixed`, or drawn from an interval; in a test split it is in one of those that are `new`."""

    fixed: float
    drawn: tuple[float, float]
    new: tuple[tuple[float, float], ...]


STREAMS = ("Images", "Episodes")
FOV = 2 * math.atan(0.5)
"""Of a pinhole that stood where the orthographic camera stands, and saw as much of the plane of the balls."""
DYNAMICS = ("gravity", "stiffness", "friction", "mass", "length")
"""Factors that say how things move: a split that differs in nothing else is of the tier of that name."""
BEYOND = 1.25
"""Radii of `new-energies`, as multiples of the largest in training, end here."""
_NEW_HUES = ((0.2, 0.35), (0.7, 0.85))
_HUE_GAP = 0.1
_VIVID = 0.85
FRICTION = Range(fixed=0.05, drawn=(0.02, 0.08), new=((0.1, 0.3),))
"""Of the suite of Botev et al., about their one value."""
LITTLE = Range(fixed=0.01, drawn=(0.005, 0.015), new=((0.02, 0.03),))
"""Of bodies, which friction draws into one another: in 16 s, to no less than a tenth of their distance."""
_LIMITS = {
    "radius": (1e-3, 100.0), "mass": (1e-3, 100.0), "length": (1e-3, 100.0), "friction": (0.0, 100.0),
    "gravity": (0.0, 100.0), "stiffness": (0.0, 100.0), "hue": (0.0, 1.0), "saturation": (0.0, 1.0), "sense": (-1, 1),
}  # fmt: skip
"""What an intervention may ask for."""
_LASTING = (*DYNAMICS, "n_objects", "hue", "saturation")
"""Factors that hold while an episode runs; all others say how it begins."""
_NOISE = seeds.derive(envs.ROOT, "motion", "noise")
_ENDS = 1e30
"""Beyond any number that is observed: Gymnasium frowns on spaces without ends."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options that all these environments have; a subclass adds the `radius` of its starts."""

    radius: tuple[float, float]
    """Ends of the factor `radius`, which says how far from rest an episode begins."""
    parameters: Literal["fixed", "drawn"] = "fixed"
    """Whether masses, lengths and constants are those of Toth et al., or drawn for each episode as by Botev et al."""
    friction: bool = False
    """Whether there is friction: a coefficient of 0.05 (bodies: 0.01) or, where parameters are drawn, one about it."""
    coloured: bool = False
    """Whether balls have hues, before a slate ground; otherwise they are white, before black."""
    noise: float = 0.0
    """Standard deviation of what is added, each step anew, to every coordinate before it is drawn (Toth et al.: 0.1)."""
    time_step: float = 0.125
    """Seconds between two observations (Botev et al.: 0.05)."""
    max_steps: int = 128
    """Time limit of an episode; Toth et al. show 30 steps."""
    image_size: int = 32
    """Height and width of the environment's pictures, unless another size is asked for."""
    supersample: int = 4
    """Rays per pixel, along each edge of it."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""

    def __post_init__(self):
        name = type(self).__module__.rpartition(".")[2]
        limits = {"noise": (0.0, 10.0), "time_step": (1e-6, 10.0), "max_steps": (1, 10**9)}
        errors.within(name, self, limits | {"image_size": (1, 4096), "supersample": (1, 8)})
        low, high = self.radius
        if not 0 < low < high <= 100:
            raise errors.CaveError(f"{name}: radius is {self.radius}, wanted 0 < low < high <= 100", errors.USAGE)
        if self.parameters not in ("fixed", "drawn"):
            raise errors.unknown(f"parameters of {name}", self.parameters, ("fixed", "drawn"))

    @classmethod
    def tiny(cls):
        """Small pictures, for tests."""
        return cls(image_size=16, supersample=2)

    @property
    def look(self) -> dict[str, int]:
        """The options of the renderer."""
        return {"supersample": self.supersample}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """One mechanical system.

    `start`, `balls` and `reach` work on the factors of `b` worlds by name: those of the scene have shape b, those of
    balls, as `mass`, shape b k.
    """

    law: int
    """One of `envs.physics.hamiltonian`."""
    n: int
    """Balls."""
    d: int
    """Positions q, and as many momenta p."""
    constant: str
    """Name of the factor that is the law's constant: `gravity` or `stiffness`."""
    ranges: Mapping[str, Range]
    """Of the constant, of `mass` and, if there are rods, of `length`."""
    friction: Range
    """Of the coefficient of friction, where there is any."""
    scene: fa.Distribution | None = None
    """Other factors of the whole."""
    each: fa.Distribution | None = None
    """Other factors of each ball."""
    own_radius: bool = False
    """Whether each ball has a `radius` of its own."""
    start: Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray]]
    """Factors -> q, p, each b d."""
    places: Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]
    """q, factors -> x and z of the balls, b k 2."""
    reach: Callable[[float, float, float], float]
    """Largest radius, smallest and largest mass -> how far from the middle a ball's centre may come."""


def point(value: float) -> fa.Interval:
    """The interval that holds one number."""
    return fa.Interval(value, math.nextafter(value, math.inf))


@functools.lru_cache(maxsize=64)
def splits(system: System, config: Options) -> Mapping[str, fa.Split]:
    """The splits by name, proved disjoint from training (or within it) from their distributions."""
    fixed, high = config.parameters == "fixed", config.radius[1]
    known = {name: _box(name, r, fixed) for name, r in system.ranges.items()}
    known["radius"] = fa.box(radius=fa.Interval(*config.radius))
    known["friction"] = _box("friction", system.friction, fixed) if config.friction else fa.box(friction=point(0.0))
    circle, vivid = fa.box(hue=fa.Interval(0.0, 1.0)), fa.box(saturation=point(_VIVID))
    new_hues = _union("hue", _NEW_HUES) if config.coloured else circle
    plain = fa.box(hue=point(0.0), saturation=point(0.0))
    known["hue"] = (circle - new_hues) * vivid if config.coloured else plain
    of_all = ["radius", system.constant, "friction"][system.own_radius :]
    of_each = [name for name in known if name not in of_all]

    def split(name, of=None, **novel):
        sides = known | novel
        scene = _product([*(sides[part] for part in of_all), *([system.scene] if system.scene else [])])
        each = _product([*(sides[part] for part in of_each), *([system.each] if system.each else [])])
        apart = _apart if system.n > 1 and (config.coloured or "hue" in novel) else None
        return fa.Split(name, scene, fa.Repeat(fa.Finite((system.n,)), each, fits=apart), of, tuple(novel))

    made = [split("train"), split("test", of="train")]
    made.append(split("new-energies", radius=fa.box(radius=fa.Interval(high, BEYOND * high))))
    plural = {"mass": "masses", "length": "lengths"}
    for name, numbers in (*system.ranges.items(), ("friction", system.friction)):
        made.append(split(f"new-{plural.get(name, name)}", **{name: _union(name, numbers.new)}))
    made.append(split("new-colours", hue=new_hues * vivid))
    made = {one.name: one for one in made}
    fa.check_splits(made)
    return types.MappingProxyType(made)


def _box(name: str, numbers: Range, fixed: bool) -> fa.Distribution:
    return fa.box(**{name: point(numbers.fixed) if fixed else fa.Interval(*numbers.drawn)})


def _union(name: str, intervals: tuple[tuple[float, float], ...]) -> fa.Distribution:
    return fa.union(*(fa.box(**{name: fa.Interval(*ends)}) for ends in intervals))


def _product(parts: list[fa.Distribution]) -> fa.Distribution:
    return functools.reduce(operator.mul, parts)


def _apart(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether hues of two balls differ so much that they are told apart."""
    apart = np.abs(one["hue"] - other["hue"])
    return np.minimum(apart, 1 - apart) >= _HUE_GAP


def extent(system: System, config: Options) -> float:
    """Side in metres of the square around all that any split shows."""
    high, mass = config.radius[1], system.ranges["mass"]
    usual = (mass.fixed, mass.fixed) if config.parameters == "fixed" else mass.drawn
    cases = [(BEYOND * high, *usual), *((high, *ends) for ends in mass.new)]
    return 2 * max(system.reach(far, light, heavy) + ball(heavy) for far, light, heavy in cases)


def ball(mass):
    """Radius of a ball: an even disc whose mass is its area (Botev et al.)."""
    return np.sqrt(mass / np.pi)


def world(system: System, module: str) -> type[envs.World]:
    """The class `World` of the environment in `module`.

    Why a function: every environment's `World` derives from `envs.World` itself, and none from another's.
    """

    class World(envs.World):
        """`n` worlds that move by themselves.

        Attributes:
            y: Float64 n 2d, the true state: positions q, then momenta p.
        """

        STATE: ClassVar[tuple[str, ...]] = ("y", "action")
        PLAYERS: ClassVar[tuple[str, ...]] = ("random",)
        TASK = False

        def __init__(
            self,
            config: Any,
            n: int,
            split: str,
            seed: int,
            sensors: tuple[str, ...],
            size: tuple[int, int] | None,
        ):
            name = module.rpartition(".")[2]
            self._split, size = envs.settle(name, splits(system, config), split, size, config.image_size)
            rods = system.n if getattr(config, "rods", False) else 0
            ground, side = balls.SLATE if config.coloured else balls.BLACK, extent(system, config)
            self._half = side / 2
            self._stage = stage.Stage(n, system.n, rods, side, size, sensors, ground, config.renderer, config.look)
            sensor_spaces = self._stage.spaces() | {
                "goal": spaces.Box(0.0, 1.0, (0,)),
                "action": spaces.Box(0.0, 1.0, (1,)),
                "state": spaces.Box(-_ENDS, _ENDS, (2 * system.d + 1,)),
            }
            super().__init__(config, n, split, seed, sensors, size, config.max_steps, spaces.Discrete(1), sensor_spaces)
            self.y, self.action = np.zeros((n, 2 * system.d)), np.zeros((n, 1), np.float32)

        def begin(self, rows, index, factors):
            """Draw masses, constants and a start."""
            drawn = self._split.sample(envs.ROOT, index)
            if factors is not None:
                drawn = self._mixed(rows, drawn, factors)
            self.y[rows] = np.concatenate(system.start(drawn), 1)
            self.action[rows] = 0
            self._take(rows, drawn)

        def change(self, rows, factors):
            """Change what moves and by which law; positions and momenta, angles and not places of pendulums, stay."""
            before = {name: value[rows] for name, value in self._factors.items()}
            drawn = self._mixed(rows, before, factors)
            for name in sorted(drawn.keys() - set(_LASTING)):
                moved = (drawn[name] != before[name]).reshape(len(rows), -1).any(1)
                if moved.any():
                    row = int(rows[np.argmax(moved)])
                    raise self._refusal(row, f"{name} says how an episode begins, which it has done; give it to reset")
            self._take(rows, drawn)

        def _mixed(self, rows: np.ndarray, drawn: dict, factors: dict) -> dict[str, np.ndarray]:
            """Factors of some worlds with those that were asked for in their place."""
            limits = {name: _LIMITS.get(name, (-100.0, 100.0)) for name in drawn} | {"n_objects": (system.n, system.n)}
            drawn = drawn | interventions.checked(self.name, factors, drawn, limits)
            rods = drawn["length"].sum(1) if "length" in drawn else 0.0
            faults = {"a ball would not fit into the picture": rods + ball(drawn["mass"]).max(1) > self._half}
            if "sense" in drawn:
                faults["bodies that turn in no sense would meet"] = drawn["sense"] == 0
            self._refuse(rows, faults)
            return drawn

        def _take(self, rows: np.ndarray, drawn: dict) -> None:
            """Let worlds `rows` have factors that are known to be sound."""
            self._keep(rows, drawn)
            self._stage.show(rows, ball(drawn["mass"]), drawn["hue"], drawn["saturation"], drawn.get("length"))

        def advance(self, actions):
            """Let time pass."""
            y = self.y.copy()  # so that no world has moved where one cannot
            fine = hamiltonian.advance(system.law, system.n, self._parameters(), y, float(self.config.time_step))
            if not fine.all():
                told = "bodies have met at a point, after which there is no law; reset this world"
                raise self._refusal(int(np.argmin(fine)), told)
            self.y[...], self.action[...] = y, 1
            return np.zeros(self.n, np.float32), np.zeros(self.n, bool)

        def read(self, rows):
            """The sensors asked for, of some worlds."""
            out = {"goal": np.zeros((len(rows), 0), np.float32), "action": self.action[rows]}
            if "state" in self.sensors:
                out["state"] = np.concatenate([self.y[rows], self.energy()[rows, None]], 1)
            if self._stage.drawn or "pose" in self.sensors:
                q = self.y[rows, : system.d].copy()
                if self.config.noise:
                    q += self.config.noise * _normal(self.scene_index()[rows] + self.steps[rows], system.d)
                out |= self._stage.look(rows, system.places(q, {k: v[rows] for k, v in self._factors.items()}))
            return {sensor: out[sensor] for sensor in self.sensors}

        def energy(self) -> Float64[np.ndarray, " b"]:
            """Of each world, in joules."""
            return hamiltonian.energies(system.law, system.n, self._parameters(), self.y)

        def _parameters(self) -> np.ndarray:
            names = [name for name in (system.constant, "friction", "mass", "length") if name in self._factors]
            return np.concatenate([self._factors[name].reshape(self.n, -1) for name in names], 1)

        def facts(self):
            """`factors`; `success` is always False: there is nothing to succeed at."""
            factors = {name: value.copy() for name, value in self._factors.items()}
            return {"factors": factors, "success": np.zeros(self.n, bool)}

        def scripted(self):
            """Refused: there is nothing to do."""
            raise errors.CaveError(f"{self.name} has no scripted player: it moves by itself", errors.USAGE)

    World.__module__, World.__qualname__ = module, "World"
    return World


def _normal(index: np.ndarray, d: int) -> Float64[np.ndarray, "r {d}"]:
    """Normal numbers by the method of Box and Muller, a function of the index alone."""
    u = seeds.uniform(_NOISE, index, 2 * d)
    return np.sqrt(-2 * np.log1p(-u[:, :d])) * np.cos(2 * np.pi * u[:, d:])
