"""What one can do in a world: bodies, sensors and goals, in batches.

This file is the contract of the package. A module beside it is one *environment* (`rooms`); `streams` holds the endless
batches that learners watch, `registered` what Gymnasium's own environments need, `interventions` checks the factors that
somebody asks for, `nuisance` disturbs what is seen, `walking` is what bodies do; `benchmark` is a command. An
environment's module has these names:

    Config     frozen dataclass of options, with `Config.tiny()` for tests; among them are `renderer`, the name of one,
               `look`, the options it is loaded with
    World      subclass of `envs.World`: a batch of worlds, stepped with arrays
    splits(config) -> dict of `scenes.factors.Split` by name
    STREAMS    the kinds of stream it offers, of `envs.streams`: ("Images", "Views", "Episodes", "Geometry")
    FOV        vertical field of view of its cameras, in radians; where those are orthographic, also EXTENT, the metres of
               height that they see
    extent(config) -> side in metres of the square about the z axis that holds everything

where its scenes are those of a family, that family; there and where `Views` are among the streams, a pure function that
says where learners look from; and with `Views` another, for films:

    family     the module of `scenes`; `Config.scenery` are its options. For the stream `Geometry` it has `distance`,
               `surface` and `REACH`, as `scenes.objects` does
    views(config, split, seed, index, n_views) -> (Scenes of b scenes, poses b v 5)
    tour(config, n) -> poses n 5 of a smooth path once around

Its own `NUISANCE` and `DYNAMICS` go before those of the family (see `scenes`). Where solids of a family's scenes move, the
`World` has a method `scenes()` that gives them as they are now; elsewhere they are what the factors say.

Where it has no family (`gymnasium`), scenes are moments while somebody plays at random, `Images` what its own cameras see.

Why a world rather than many environments: 256 worlds moved by one call share one renderer call, and no Python runs per
world. Two thin adapters make a world a `gymnasium.vector.VectorEnv` and, with one world, a `gymnasium.Env`; every
environment found here is registered with Gymnasium as `cave/<Name>-v0` when this package is imported.

Why a world never resets itself: whoever steps it decides what happens to the last observation of an episode. The
adapters reset in the same step (`AutoresetMode.SAME_STEP`).

Why interventions: what a policy really attends to shows when one factor of a running episode changes and nothing else
does (`World.intervene`, after the causal worlds of Ahmed et al., 2021). What cannot be is refused before anything moves.

Randomness: world `i` has seed `seed + i`. Everything about its episode `k` is a function of (split, that seed, k), so
an episode is the same in any face, beside any number of other worlds and after any order of resets.
"""

import abc
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, ClassVar

import gymnasium as gym  # the name itself belongs to this package's module `gymnasium`, once that is imported
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float32, Int64

from scenes.kit import errors, plugins, seeds

SENSORS = ("image", "depth", "ids", "pose", "goal", "action", "state")
"""Every sensor an environment may have, and what it reads, one row a world:

image   uint8 h w 3, what the eye sees
depth   float32 h w, metres along the eye's axis
ids     int32 h w, index of the solid within its scene, -1 where nothing is met
pose    float32 5, the eye: x, y, z in metres, yaw, pitch in radians
goal    float32, what is wanted; it goes past the encoder to the policy
action  the action before, as float32 (one-hot where actions are discrete); zeros at a start
state   float32, everything true that matters to the task, in the body's own frame
"""

ROOT = seeds.derive(0, "envs", "episodes")
"""The scenes of episodes are those of this seed, with the index that `World.scene_index` gives."""


def settle(
    name: str, known: Mapping[str, Any], split: str, size: tuple[int, int] | None, image_size: int
) -> tuple[Any, tuple[int, int]]:
    """The split of that name among an environment's `known` ones, and the size of its pictures: `size`, or a square.

    Raises:
        errors.CaveError: there is no such split, or pictures would have no pixels.
    """
    if split not in known:
        raise errors.unknown("split", split, known)
    return known[split], _two(name, (image_size, image_size) if size is None else size)


def pictured(sensors: Iterable[str]) -> tuple[str, ...]:
    """What a renderer must draw for these sensors, in its own words; nothing where none of them is a picture."""
    return tuple(name for name, sensor in {"rgb": "image", "depth": "depth", "ids": "ids"}.items() if sensor in sensors)


class World(abc.ABC):
    """`n` worlds of one environment and one split, stepped together. It never resets itself and owns its time limit.

    An environment's subclass says how an episode begins, moves and is seen; what every environment promises (seeds,
    counters, refusals, states) is kept here, once.

    Attributes:
        name: The environment's name.
        n: Number of worlds.
        split: Name of the factor distribution that scenes come from.
        sensors: Those that `observe` reads, in order.
        size: Height and width of pictures.
        action_space: Of one world. Numbers outside a `Box` are clipped to it.
        observation_space: Of one world: a `Dict` of its sensors.
        max_steps: Time limit of an episode, after which it is truncated.
        seeds: Int64 n, the seed of each world.
        episode: Int64 n, number of the episode each world is in; -1 before the first.
        steps: Int64 n, steps taken in it.
        live: Bool n, whether the episode still runs.
        cut: Bool n, whether the last step cut the episode short, though neither the task ended nor the time limit passed:
            for environments that have a limit of their own inside, whose `advance` says so here.
    """

    STATE: ClassVar[tuple[str, ...]] = ()
    """Attributes of the subclass, arrays of `n` rows, which with the scenes' factors make up its state."""
    PLAYERS: ClassVar[tuple[str, ...]] = ("random", "scripted")
    """Who can play in it without training; `scripted` is refused where nobody wrote such a player."""
    TASK: ClassVar[bool] = True
    """Whether anything is ever rewarded."""

    def __init__(
        self,
        config: Any,
        n: int,
        split: str,
        seed: int,
        sensors: tuple[str, ...],
        size: tuple[int, int],
        max_steps: int,
        action_space: spaces.Space,
        sensor_spaces: dict[str, spaces.Space],
    ):
        self.name = type(self).__module__.rpartition(".")[2]
        if not _whole(n) or n < 1:
            told = f"{self.name}: the number of worlds must be an integer of at least 1, not {n!r}"
            raise errors.CaveError(told, errors.USAGE)
        if not _whole(seed) or not -_LARGEST <= seed <= _LARGEST - n:
            raise errors.CaveError(f"{self.name}: seed must be an integer below 2^63, not {seed!r}", errors.USAGE)
        for sensor in sensors:
            if sensor not in sensor_spaces:
                raise errors.unknown(f"sensor of {self.name}", sensor, sensor_spaces)
        self.config, self.n, self.split, self.sensors, self.size = config, n, split, tuple(sensors), size
        self.max_steps, self.action_space = max_steps, action_space
        self.observation_space = spaces.Dict({sensor: sensor_spaces[sensor] for sensor in sensors})
        self.seeds = seed + np.arange(n, dtype=np.int64)
        self.episode = np.full(n, -1, np.int64)
        self._index = _episode_index(self.seeds, self.episode)
        self.steps = np.zeros(n, np.int64)
        self.live, self.cut = np.zeros((2, n), bool)
        self._factors: dict[str, np.ndarray] = {}
        self._soon, self._ahead = np.full((n, _AHEAD), -1), {}
        self._restoring = self._ended = False

    @abc.abstractmethod
    def begin(self, rows: Int64[np.ndarray, " r"], index: Int64[np.ndarray, " r"], factors: dict | None) -> None:
        """Put worlds `rows` at the start of the episode in scene `index` of their split and `ROOT`.

        Args:
            rows: Which worlds, rising.
            index: Their scenes; whatever else is random about a start is derived from it too.
            factors: Name -> array of `r` rows, put in the place of the scenes' own; None leaves them as drawn.
        """

    @abc.abstractmethod
    def advance(self, actions: np.ndarray) -> tuple[Float32[np.ndarray, " b"], Bool[np.ndarray, " b"]]:
        """Move every world by one step, for checked actions; returns reward and whether the task has ended."""

    @abc.abstractmethod
    def read(self, rows: Int64[np.ndarray, " r"]) -> dict[str, np.ndarray]:
        """What `sensors` of worlds `rows` read now: name -> array of `r` rows, which the caller will copy."""

    @abc.abstractmethod
    def scripted(self) -> np.ndarray:
        """Actions, one row a world, of a player that knows the true state and does the task well."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """The truth about the episodes: arrays of `n` rows, among them `factors` (a dict of them) and `success`."""

    def change(self, rows: Int64[np.ndarray, " r"], factors: dict[str, np.ndarray]) -> None:
        """Put factors in the place of those of worlds `rows`, whose episodes go on; here: refused.

        Bodies stay where they are. What cannot be is refused in one line, for all rows, before anything has changed.

        Args:
            rows: Which worlds, rising.
            factors: Name -> array of `r` rows.
        """
        raise errors.CaveError(
            f"{self.name} cannot change factors while an episode runs: give them to reset", errors.USAGE
        )

    def close(self) -> None:
        """Let go of processes and threads, if there are any; these worlds are then of no more use. Twice is no fault."""
        self.live[...] = False
        self._ended = True

    def scene_index(self) -> Int64[np.ndarray, " b"]:
        """Where each world's episode looks for its scene, among those of (its split, `ROOT`): a 53-bit hash of the
        world's seed and episode. Not to be written to."""
        return self._index

    def reset(self, mask=None, seeds=None, factors: dict[str, np.ndarray] | None = None) -> None:
        """Start new episodes.

        Args:
            mask: Bool n, the worlds to reset; None for all.
            seeds: Int64 n; the chosen worlds take these seeds and begin at their episode 0. None goes on to the next
                episode of the seeds they have.
            factors: An intervention: name -> array of `n` rows, put in the place of the scenes' own factors in the
                chosen worlds. The scene may then lie outside the split.

        Raises:
            errors.CaveError: an array has another shape; a factor is unknown, of another shape or out of range; the scene
                cannot be as it is asked for. Where factors were given, nothing has changed.
        """
        self._open()
        rows = self._chosen("reset", mask)
        own = self.seeds
        if seeds is not None:
            seeds = np.asarray(seeds)
            if seeds.shape != (self.n,) or seeds.dtype.kind not in "iu" or (seeds > _LARGEST).any():
                given = _describe(seeds) if seeds.dtype.kind not in "iu" else f"{seeds.tolist()}"
                raise errors.CaveError(f"{self.name}: seeds must be {self.n} integers below 2^63, not {given}")
            own = self.seeds.copy()
            own[rows] = seeds[rows]
        chosen = self._of_rows(factors or {}, rows)
        if not len(rows):
            return
        before = self.state_dict() if chosen else None
        self.seeds = own
        self.episode[rows] = 0 if seeds is not None else self.episode[rows] + 1
        self._index[rows] = _episode_index(self.seeds[rows], self.episode[rows])
        self.steps[rows] = 0
        self.live[rows] = False
        try:
            self.begin(rows, self._index[rows], chosen or None)
        except errors.CaveError:
            if before is not None:
                self.load_state_dict(before)
            raise
        self.live[rows] = True

    def intervene(self, factors: dict[str, np.ndarray], mask=None) -> None:
        """Change factors of running episodes; bodies, counts of steps and all other factors stay as they are.

        Args:
            factors: Name -> array of `n` rows, put in the place of the scenes' own in the chosen worlds, until their
                episodes end. The scene may then lie outside the split.
            mask: Bool n, the worlds to change; None for all.

        Raises:
            errors.CaveError: the environment has no such change; an episode has not begun or is over; a factor is
                unknown, of another shape or out of range; the scene cannot be as it is asked for. Nothing has changed.
        """
        rows = self._chosen("intervention", mask)
        chosen = self._of_rows(factors, rows)
        if not self.live[rows].all():
            raise self._refusal(int(rows[np.argmin(self.live[rows])]), "no episode runs; call reset first")
        if len(rows):
            self.change(rows, chosen)

    def step(self, actions) -> tuple[Float32[np.ndarray, " b"], Bool[np.ndarray, " b"], Bool[np.ndarray, " b"]]:
        """Move every world by one step; returns reward, terminated (the task ended) and truncated (it was cut short).

        Raises:
            errors.CaveError: a world's episode has not begun or is over; an action is of another shape or type, out
                of range or not finite. Environment, world, seed and step are named, and nothing has moved.
        """
        if not self.live.all():
            self._open()
            what = "has not begun" if self.episode[np.argmin(self.live)] < 0 else "is over"
            raise self._refusal(int(np.argmin(self.live)), f"its episode {what}; call reset first")
        reward, terminated = self.advance(self._checked(actions))
        self.steps += 1
        truncated = (self.cut | (self.steps >= self.max_steps)) & ~terminated
        self.live = ~(terminated | truncated)
        return reward, terminated, truncated

    def observe(self, mask=None, out: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """What the sensors read now: sensor -> array of `n` rows.

        Args:
            mask: Bool n, the worlds to look at; rows of the others are left as they are in `out`. None for all.
            out: Arrays to write into, as an earlier call returned them; None makes new ones.
        """
        rows = np.arange(self.n) if mask is None else np.flatnonzero(mask)
        if out is None:
            made = np.empty if mask is None else np.zeros
            out = {
                sensor: made((self.n, *space.shape), space.dtype)
                for sensor, space in self.observation_space.spaces.items()
            }
        if len(rows):
            if self.episode[rows].min() < 0:
                raise self._refusal(int(rows[np.argmin(self.episode[rows])]), "nothing to observe; call reset first")
            everything = len(rows) == self.n
            for sensor, value in self.read(rows).items():
                if everything:
                    out[sensor][...] = value
                else:
                    out[sensor][rows] = value
        return out

    def random(self) -> np.ndarray:
        """Actions of a player that knows nothing, uniform over the action space, one row a world.

        They are a function of each world's seed, episode and step: no generator is kept, and none is disturbed.
        """
        index = _episode_index(self._index, self.steps)
        if isinstance(self.action_space, spaces.Discrete):
            u = seeds.uniform(_PLAYER, index, 1)[:, 0]
            return (u * self.action_space.n).astype(np.int64)
        low, high = self.action_space.low, self.action_space.high
        return (low + seeds.uniform(_PLAYER, index, len(low)) * (high - low)).astype(np.float32)

    def factors(self) -> dict[str, np.ndarray]:
        """True generative factors of each world's scene: name -> array of `n` rows."""
        return self.facts()["factors"]

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that these worlds are, as arrays: put back by `load_state_dict`, they continue exactly."""
        own = ("seeds", "episode", "steps", "live", *self.STATE)
        state = {name: getattr(self, name).copy() for name in own}
        if self.episode.max() < 0:
            return state
        return state | {f"factors.{name}": value.copy() for name, value in self.factors().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Put back what `state_dict` of as many worlds of the same environment and config gave.

        Raises:
            errors.CaveError: an array is missing or has another shape.
        """
        self._open()
        own = ("seeds", "episode", "steps", "live", *self.STATE)
        for name in own:
            have = getattr(self, name)
            if name not in state or np.shape(state[name]) != have.shape:
                given = _describe(np.asarray(state[name])) if name in state else "nothing"
                raise errors.CaveError(f"{self.name}: state {name!r} must have shape {have.shape}, not {given}")
        rows = np.flatnonzero(np.asarray(state["episode"]) >= 0)
        self.seeds, self.episode = np.array(state["seeds"], np.int64), np.array(state["episode"], np.int64)
        self._index = _episode_index(self.seeds, self.episode)
        if len(rows):
            prefix = "factors."
            factors = {k.removeprefix(prefix): np.asarray(v)[rows] for k, v in state.items() if k.startswith(prefix)}
            self._restoring = True
            try:
                self.begin(rows, self._index[rows], factors)
            finally:
                self._restoring = False
        for name in own:
            getattr(self, name)[...] = state[name]

    def __reduce__(self):
        """Copied and pickled as what it was made of and its state: simulators and renderers are made anew."""
        return _again, (self.name, self.config, self.n, self.split, self.sensors, self.size, self.state_dict())

    def _open(self) -> None:
        if self._ended:
            raise errors.CaveError(f"{self.name}: these worlds are closed; make others")

    def _chosen(self, what: str, mask: Any) -> Int64[np.ndarray, " r"]:
        """The worlds that a mask means, rising; None means all."""
        mask = np.ones(self.n, bool) if mask is None else np.asarray(mask)
        if mask.shape != (self.n,) or mask.dtype != bool:
            raise errors.CaveError(
                f"{self.name}: the mask of a {what} must be {self.n} booleans, not {_describe(mask)}"
            )
        return np.flatnonzero(mask)

    def _of_rows(self, factors: Mapping, rows: Int64[np.ndarray, " r"]) -> dict[str, np.ndarray]:
        """Factors of some worlds, of those of all."""
        asked = _columns(self.name, factors)
        for name, value in asked.items():
            if value.ndim == 0 or len(value) != self.n:
                raise errors.CaveError(f"{self.name}: factor {name} must have {self.n} rows, one a world")
        return {name: value[rows] for name, value in asked.items()}

    def _checked(self, actions) -> np.ndarray:
        """Actions as an array of `n` rows that the action space holds."""
        space = self.action_space
        try:
            actions = np.asarray(actions)
        except ValueError:  # lists of different lengths
            raise self._refusal(0, f"actions must be {self.n} x {space}, not {actions!r}") from None
        discrete = isinstance(space, spaces.Discrete)
        if actions.shape != (self.n, *space.shape) or actions.dtype.kind not in ("iu" if discrete else "fiu"):
            wanted = f"{self.n} integers below {space.n}" if discrete else f"{self.n} x {space}"
            raise self._refusal(0, f"actions must be {wanted}, not {_describe(actions)}")
        bad = (actions < 0) | (actions >= space.n) if discrete else ~np.isfinite(actions)
        if bad.any():
            row = int(np.argmax(bad.reshape(self.n, -1).any(-1)))
            raise self._refusal(row, f"action {actions[row].tolist()} is not one of {space}")
        return actions if discrete else np.minimum(np.maximum(actions, space.low), space.high)

    def _sample(self, rows: Int64[np.ndarray, " r"], index: Int64[np.ndarray, " r"]) -> dict[str, np.ndarray]:
        """Factors of the scenes `index` in which worlds `rows` begin, of `_split`, which a subclass sets.

        Where few worlds go on to their next episodes, those of several episodes to come are drawn, too, and kept: sixteen
        scenes cost little more than one.
        """
        if len(rows) > _FEW or ((self.episode[rows] == 0) | (index != self._index[rows])).any():
            return self._split.sample(ROOT, index)
        new = rows[(self._soon[rows] != index[:, None]).all(1)]
        if len(new):
            ahead = self.episode[new, None] + np.arange(_AHEAD)
            soon = _episode_index(np.repeat(self.seeds[new], _AHEAD), ahead.ravel())
            try:
                drawn = self._split.sample(ROOT, soon)
            except errors.CaveError:  # of one that is still to come, perhaps: it is told when its turn has come
                return self._split.sample(ROOT, index)
            self._soon[new] = soon.reshape(ahead.shape)
            for name, value in drawn.items():
                if name not in self._ahead:
                    self._ahead[name] = np.zeros((*self._soon.shape, *value.shape[1:]), value.dtype)
                self._ahead[name][new] = value.reshape(*ahead.shape, *value.shape[1:])
        at = (self._soon[rows] == index[:, None]).argmax(1)
        return {name: value[rows, at] for name, value in self._ahead.items()}

    def _keep(self, rows: Int64[np.ndarray, " r"], drawn: dict[str, np.ndarray]) -> None:
        """Note the factors of worlds `rows` among those of all."""
        for name, value in drawn.items():
            if name not in self._factors:
                self._factors[name] = np.zeros((self.n, *value.shape[1:]), value.dtype)
            self._factors[name][rows] = value

    def _refuse(self, rows: Int64[np.ndarray, " r"], faults: dict[str, np.ndarray]) -> None:
        """Stop at the first reason, if there is any, that keeps one of worlds `rows` from being as it is asked for."""
        for why, fault in faults.items():
            if fault.any():
                raise self._refusal(int(rows[np.argmax(fault)]), f"{why}; ask for other factors")

    def _settle(
        self,
        rows: Int64[np.ndarray, " r"],
        index: Int64[np.ndarray, " r"],
        attempt: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]],
        none: str,
    ) -> None:
        """Look for a start of worlds `rows` in one scene after the other, each world's first at its `index`.

        Args:
            rows: Which worlds.
            index: Where they begin to look.
            attempt: Takes which of them look (numbers below r), and in which scenes; returns which have begun, and what kept
                some from it: reason -> which of them.
            none: The reason of those that have another.

        Raises:
            errors.CaveError: a world did not begin in any of `_ATTEMPTS` scenes.
        """
        pending = np.arange(len(rows))
        for count in range(1, _ATTEMPTS + 1):
            # Episodes' indices are hashes of 53 bits, so those of later attempts are nobody else's.
            good, faults = attempt(pending, index[pending] + (count - 1 << 53))
            # What is put back has begun, and may have been changed since into what nobody could begin in.
            if good.all() or self._restoring:
                return
            if count == _ATTEMPTS:
                row = int(np.argmin(good))
                why = next((why for why, fault in faults.items() if fault[row]), none)
                raise self._refusal(int(rows[pending[row]]), f"{why}, in {count} scenes; ask for other factors")
            pending = pending[~good]

    def _refusal(self, row: int, why: str) -> errors.CaveError:
        where = f"world {row} (seed {self.seeds[row]}, episode {self.episode[row]}, step {self.steps[row]})"
        return errors.CaveError(f"{self.name}, {where}: {why}")


_ATTEMPTS = 64
_LARGEST = np.iinfo(np.int64).max
_AHEAD, _FEW = 16, 16
"""How many episodes of a world scenes are drawn for at once, and for how many worlds."""
_KEY = seeds.derive(ROOT, "index")
_PLAYER = seeds.derive(ROOT, "random player")


def _episode_index(seed: Int64[np.ndarray, " b"], count: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " b"]:
    """A 53-bit hash of (seed, count): hashing the seed first keeps (3, 1) and (1, 3) apart, as their sum would not."""
    first = (seeds.uniform(_KEY, seed, 1)[:, 0] * 2.0**53).astype(np.int64)
    return (seeds.uniform(_KEY, first + count, 1, stream=1)[:, 0] * 2.0**53).astype(np.int64)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _two(name: str, size: Any) -> tuple[int, int]:
    """Height and width of pictures."""
    if not isinstance(size, Iterable) or len(sides := tuple(size)) != 2 or not all(map(_whole, sides)):
        raise errors.CaveError(f"{name}: size must be two integers, height and width, not {size!r}", errors.USAGE)
    if min(sides) < 1:
        raise errors.CaveError(f"{name}: pictures must have at least one pixel, not {size}", errors.USAGE)
    return int(sides[0]), int(sides[1])


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _columns(name: str, factors: Any) -> dict[str, np.ndarray]:
    """Factors that somebody asks for, as arrays."""
    if not isinstance(factors, Mapping):
        raise errors.CaveError(f"{name}: factors must be a dict of names and values, not {factors!r}", errors.USAGE)
    try:
        return {factor: np.asarray(value) for factor, value in factors.items()}
    except ValueError:  # lists of different lengths
        raise errors.CaveError(f"{name}: factors must be numbers or arrays, not {factors!r}", errors.USAGE) from None


def module(name: str) -> ModuleType:
    """The module of one environment.

    Raises:
        errors.CaveError: there is no such environment.
    """
    return plugins.load("envs", name, "environment")


def _configured(env: ModuleType, name: str, config: Any) -> Any:
    """The options of an environment: its `Config`, or its defaults for None."""
    if config is not None and not isinstance(config, env.Config):
        told = f"{name}: config must be an envs.{name}.Config, or None for its defaults, not {config!r}"
        raise errors.CaveError(told, errors.USAGE)
    return env.Config() if config is None else config


def make(
    name: str,
    config: Any = None,
    n: int = 1,
    split: str = "train",
    seed: int = 0,
    sensors: tuple[str, ...] = ("image", "pose", "goal"),
    size: tuple[int, int] | None = None,
) -> World:
    """`n` worlds of an environment, which need a `reset` before the first step.

    Args:
        name: File name of the environment.
        config: Its `Config`; None for the defaults.
        n: Number of worlds.
        split: Which factor distribution scenes come from.
        seed: World `i` has seed `seed + i`.
        sensors: What `observe` reads, of `SENSORS`.
        size: Height and width of pictures; None for the config's.

    Raises:
        errors.CaveError: there is no such environment, split or sensor, or an argument is of another kind.
    """
    env = module(name)
    if isinstance(sensors, str) or not isinstance(sensors, Iterable):
        told = f"{name}: sensors must be a tuple of names, as ('image',), not {sensors!r}"
        raise errors.CaveError(told, errors.USAGE)
    return env.World(_configured(env, name, config), n, split, seed, tuple(sensors), size)


def _again(name: str, config: Any, n: int, split: str, sensors: tuple[str, ...], size: Any, state: dict) -> World:
    """A copy of worlds."""
    world = make(name, config, n, split, 0, sensors, size)
    world.load_state_dict(state)
    return world


def stream(
    name: str,
    config: Any,
    kind: str,
    split: str,
    seed: int,
    batch_size: int,
    size: tuple[int, int] = (64, 64),
    views: int = 6,
    length: int = 32,
    player: str = "random",
    device: str = "cpu",
    points: int = 1024,
    scripted_share: float = 0.5,
) -> Any:
    """Endless batches for a learner: `stream.draw(step)` is a pure function of (config, split, seed, step).

    Args:
        name: File name of the environment.
        config: Its `Config`; None for the defaults.
        kind: A class of `envs.streams`: "Images", "Views", "Episodes" or "Geometry".
        split: Which factor distribution scenes come from.
        seed: Of the stream; other seeds give other scenes and poses.
        batch_size: Scenes (or episodes) a batch.
        size: Height and width of pictures.
        views: Pictures of each scene, of `Views` and `Geometry`.
        length: Steps of each sequence, of `Episodes`.
        player: Who acts in `Episodes`: "random", "scripted", "mixed" (of both, drawn episode by episode), or a folder of
            episodes that `python -m agents.record` wrote.
        device: Of the learner, cpu or cuda: pictures of `Images`, `Views` and `Geometry` are drawn there where that can be.
        points: Points of each scene, of `Geometry`.
        scripted_share: How likely an episode of the player "mixed" is a scripted one.

    Raises:
        errors.CaveError: there is no such environment, or it does not offer such a stream; what would fit is named. Or an
            argument is of another kind.
    """
    env = module(name)
    if kind not in env.STREAMS:
        offering = [other for other in plugins.names("envs") if kind in module(other).STREAMS]
        fits = f"; {kind} is offered by {', '.join(offering)}" if offering else ""
        raise errors.CaveError(
            f"environment {name!r} offers no stream {kind!r}: it offers {', '.join(env.STREAMS)}{fits}", errors.USAGE
        )
    config, size = _configured(env, name, config), _two(name, size)
    counts = {"batch size": batch_size, "views": views, "length": length, "points": points}
    for what, count in counts.items():
        if not _whole(count) or count < 1:
            told = f"a stream's {what} must be an integer of at least 1, not {count!r}"
            raise errors.CaveError(told, errors.USAGE)
    if not _whole(seed):
        raise errors.CaveError(f"a stream's seed must be an integer, not {seed!r}", errors.USAGE)
    if device not in ("cpu", "cuda"):
        raise errors.unknown("device", device, ("cpu", "cuda"))
    drawn = getattr(plugins.load("envs.streams", kind.lower(), "stream"), kind)
    if kind == "Images":
        return drawn(name, config, split, seed, batch_size, size, device)
    if kind == "Views":
        return drawn(name, config, split, seed, batch_size, size, views, device)
    if kind == "Geometry":
        return drawn(name, config, split, seed, batch_size, size, views, points, device)
    return drawn(name, config, split, seed, batch_size, size, length, player, scripted_share)


class VectorEnv(gym.vector.VectorEnv):
    """A world as a Gymnasium vector environment, reset in the step that ends an episode.

    `info` holds `factors` (the truth) of worlds that were just reset, and `final_obs` and `final_info` of those that
    just ended, laid out as `gymnasium.vector.SyncVectorEnv` does. Sensors without numbers (the goal where nothing is wanted)
    are left out of what is observed here and by `Env`: Stable-Baselines3's policies cannot take them.
    """

    def __init__(self, world: World, render_mode: str | None = None):
        self.world = world
        self.num_envs, self.render_mode = world.n, render_mode
        self.metadata = {**_METADATA, "autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
        self.single_action_space, self.single_observation_space = world.action_space, _with_numbers(world)
        self.action_space = gym.vector.utils.batch_space(world.action_space, world.n)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, world.n)

    def reset(self, *, seed=None, options=None) -> tuple[dict, dict]:
        """Start new episodes.

        Args:
            seed: Of world 0, the others counting up from it; or one a world; None goes on to the next episodes.
            options: `reset_mask` (bool n) and `factors` (an intervention), both as `World.reset` takes them.
        """
        options = _checked_options(options, {"reset_mask", "factors"})
        mask = options.get("reset_mask")
        own = seed if seed is None else int(seed) + np.arange(self.num_envs) if np.ndim(seed) == 0 else np.array(seed)
        super().reset(seed=seed if np.ndim(seed or 0) == 0 else int(own[0]))
        self.world.reset(mask, own, options.get("factors"))
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        return self._seen(), _masked(self.world.facts(), mask)

    def step(self, actions) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Move every world by one step; worlds whose episode ends are already in their next one."""
        reward, terminated, truncated = self.world.step(actions)
        done, info = terminated | truncated, {}
        sensed = self.world.observe()
        observation = {sensor: sensed[sensor] for sensor in self.single_observation_space}
        if done.any():
            final = np.full(self.num_envs, None, object)
            for row in np.flatnonzero(done):
                final[row] = {sensor: value[row].copy() for sensor, value in observation.items()}
            info = {"final_obs": final, "_final_obs": done.copy(), "_final_info": done.copy()}
            info["final_info"] = _masked(self.world.facts(), done)
            self.world.reset(done)
            self.world.observe(done, out=sensed)
            info |= _masked(self.world.facts(), done)
        return observation, reward.astype(np.float64), terminated, truncated, info

    def intervene(self, factors: dict, mask=None) -> tuple[dict, dict]:
        """Change factors of running episodes, as `World.intervene` does; what is seen now, and the truth."""
        self.world.intervene(factors, mask)
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        return self._seen(), _masked(self.world.facts(), mask)

    def _seen(self) -> dict[str, np.ndarray]:
        sensed = self.world.observe()
        return {sensor: sensed[sensor] for sensor in self.single_observation_space}

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of what the worlds hold."""
        self.world.close()

    def render(self) -> tuple[np.ndarray, ...] | None:
        """What each world's eye sees, uint8 h w 3; None without a render mode."""
        return tuple(_eyes(self.world)) if self.render_mode else None


class Env(gym.Env):
    """One world as a Gymnasium environment; `info` holds `factors`, the truth, at reset and at the end."""

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, world: World, render_mode: str | None = None):
        if world.n != 1:
            raise errors.CaveError(f"envs.Env takes one world, not {world.n}; envs.VectorEnv takes any number")
        self.world, self.render_mode = world, render_mode
        self.action_space, self.observation_space = world.action_space, _with_numbers(world)

    def reset(self, *, seed=None, options=None) -> tuple[dict, dict]:
        """Start the next episode or, with a seed, the first of that seed.

        Args:
            seed: Of the world.
            options: `factors`: an intervention, each value without the axis of worlds.
        """
        super().reset(seed=seed)
        factors = _checked_options(options, {"factors"}).get("factors")
        factors = None if factors is None else self._alone(factors)
        self.world.reset(None, None if seed is None else np.array([seed]), factors)
        return self._seen(), _row(self.world.facts())

    def step(self, action) -> tuple[dict, float, bool, bool, dict]:
        """Move by one step."""
        reward, terminated, truncated = self.world.step([action])
        over = bool(terminated[0] or truncated[0])
        info = _row(self.world.facts()) if over else {}
        return self._seen(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def intervene(self, factors: dict) -> tuple[dict, dict]:
        """Change factors of the running episode, each value without the axis of worlds; what is seen now, and the truth.

        Through Gymnasium's wrappers it is reached as `env.unwrapped.intervene`.
        """
        self.world.intervene(self._alone(factors))
        return self._seen(), _row(self.world.facts())

    def _alone(self, factors: dict) -> dict[str, np.ndarray]:
        """Factors of the only world, with the axis of worlds."""
        return {name: value[None] for name, value in _columns(self.world.name, factors).items()}

    def _seen(self) -> dict[str, np.ndarray]:
        sensed = self.world.observe()
        return {sensor: sensed[sensor][0].copy() for sensor in self.observation_space}

    def close(self) -> None:
        """Let go of what the world holds."""
        self.world.close()

    def render(self) -> np.ndarray | None:
        """What the eye sees, uint8 h w 3; None without a render mode."""
        return next(iter(_eyes(self.world))) if self.render_mode else None


_METADATA = {"render_modes": ["rgb_array"], "render_fps": 10}


def single(
    name: str,
    config: Any = None,
    split: str = "train",
    seed: int = 0,
    sensors: tuple[str, ...] = ("image", "pose", "goal"),
    size: tuple[int, int] | None = None,
    render_mode: str | None = None,
    **unknown: Any,
) -> Env:
    """What `gymnasium.make("cave/Rooms-v0", ...)` calls; arguments as for `make`."""
    _check_words(unknown, render_mode)
    return Env(make(name, config, 1, split, seed, sensors, size), render_mode)


def vector(
    name: str,
    num_envs: int = 1,
    config: Any = None,
    split: str = "train",
    seed: int = 0,
    sensors: tuple[str, ...] = ("image", "pose", "goal"),
    size: tuple[int, int] | None = None,
    render_mode: str | None = None,
    **unknown: Any,
) -> VectorEnv:
    """What `gymnasium.make_vec("cave/Rooms-v0", num_envs=..., ...)` calls; arguments as for `make`."""
    _check_words(unknown, render_mode)
    return VectorEnv(make(name, config, num_envs, split, seed, sensors, size), render_mode)


def _check_words(unknown: dict[str, Any], render_mode: str | None) -> None:
    """Refuse options that `gymnasium.make` was given and nobody takes."""
    if unknown:
        told = errors.unknown(
            "option", next(iter(unknown)), ("config", "split", "seed", "sensors", "size", "render_mode")
        )
        raise errors.CaveError(f"{told} (an environment's own options go into config)", errors.USAGE)
    if render_mode not in (None, *_METADATA["render_modes"]):
        raise errors.unknown("render_mode", render_mode, _METADATA["render_modes"])


def _with_numbers(world: World) -> spaces.Space:
    """What the faces of a world show: the sensors that read anything at all."""
    shown = world.observation_space.spaces.items()
    return spaces.Dict({sensor: space for sensor, space in shown if np.prod(space.shape) > 0})


def _eyes(world: World) -> np.ndarray:
    if "image" not in world.sensors:
        raise errors.CaveError(f"{world.name}: render needs the sensor 'image'; these worlds have {world.sensors}")
    return world.observe()["image"]


def _row(tree: Any) -> Any:
    """The only row of a tree of arrays, copied; truth values as Python's, which Gymnasium stacks into bool arrays."""
    if isinstance(tree, dict):
        return {key: _row(value) for key, value in tree.items()}
    return bool(tree[0]) if tree.dtype == bool and tree.ndim == 1 else tree[0].copy()


def _masked(tree: dict, mask: np.ndarray) -> dict:
    """A tree of arrays as Gymnasium lays out vector infos: each entry with its mask, other rows zero."""
    out = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out[key] = _masked(value, mask)
        else:
            out[key] = np.where(mask.reshape(-1, *[1] * (value.ndim - 1)), value, np.zeros_like(value))
        out[f"_{key}"] = mask.copy()
    return out


def _checked_options(options: dict | None, accepted: set[str]) -> dict:
    if not isinstance(options or {}, Mapping):
        told = f"reset options must be a dict with any of {', '.join(sorted(accepted))}, not {options!r}"
        raise errors.CaveError(told, errors.USAGE)
    for name in options or {}:
        if name not in accepted:
            raise errors.unknown("reset option", name, accepted)
    return options or {}


def _register() -> None:
    for name in plugins.names("envs"):
        env_id = f"cave/{name.title().replace('_', '')}-v0"
        if env_id not in gym.registry:
            gym.register(env_id, "envs:single", vector_entry_point="envs:vector", kwargs={"name": name})


_register()
