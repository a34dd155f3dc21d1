"""The eleven MuJoCo tasks of Gymnasium, version 5, as arithmetic on arrays of many worlds.

What each rewards, when it ends and what it observes is theirs (Gymnasium's documentation has the formulae), with its
default weights; a test steps them side by side. `seen` is a `physics.batch.Batch` just after its step: forces and
places of bodies are those before the last timestep, as Gymnasium sees them.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from envs.physics.batch import Batch

Verdict = tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]


@dataclasses.dataclass(frozen=True)
class Task:
    """One of them."""

    fields: tuple[str, ...]
    """Of `MjData`, what it looks at."""
    observe: Callable[[Batch], Float[np.ndarray, "n d"]]
    judge: Callable[[Batch, np.ndarray, np.ndarray], Verdict]
    """Of what is seen, the speed of `place` in metres a second, and the actions: rewards, and which tasks have ended."""
    place: Callable[[Batch], Float[np.ndarray, " n"]] = lambda seen: seen.qpos[:, 0]
    """How far it has come, in metres along the x axis."""


def _squares(values: np.ndarray) -> np.ndarray:
    return np.square(values.reshape(len(values), -1)).sum(1)


def _never(seen: Batch) -> Bool[np.ndarray, " n"]:
    return np.zeros(seen.n, bool)


def _rest(skipped: int, fastest: float = np.inf) -> Callable[[Batch], np.ndarray]:
    """Positions but for the first few, and velocities, clipped."""
    return lambda seen: np.concatenate([seen.qpos[:, skipped:], np.clip(seen.qvel, -fastest, fastest)], 1)


def _ant(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    finite = np.isfinite(seen.qpos).all(1) & np.isfinite(seen.qvel).all(1)
    healthy = finite & (seen.qpos[:, 2] >= 0.2) & (seen.qpos[:, 2] <= 1.0)
    costs = 0.5 * _squares(actions) + 5e-4 * _squares(np.clip(seen.cfrc_ext, -1, 1))
    return speed + healthy - costs, ~healthy


def _ant_sees(seen: Batch) -> np.ndarray:
    forces = np.clip(seen.cfrc_ext[:, 1:], -1, 1).reshape(seen.n, -1)
    return np.concatenate([seen.qpos[:, 2:], seen.qvel, forces], 1)


def _cheetah(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    return speed - 0.1 * _squares(actions), _never(seen)


def _swimmer(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    return speed - 1e-4 * _squares(actions), _never(seen)


def _hopper(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    small = (np.abs(seen.qpos[:, 2:]) < 100).all(1) & (np.abs(seen.qvel) < 100).all(1)
    healthy = small & (seen.qpos[:, 1] > 0.7) & (np.abs(seen.qpos[:, 2]) < 0.2)
    return speed + healthy - 1e-3 * _squares(actions), ~healthy


def _walker(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    height = seen.qpos[:, 1]
    healthy = (height > 0.8) & (height < 2) & (np.abs(seen.qpos[:, 2]) < 1)
    return speed + healthy - 1e-3 * _squares(actions), ~healthy


def _middle(seen: Batch) -> np.ndarray:
    """The x of the centre of mass."""
    mass = seen.model.body_mass
    return seen.xipos[..., 0] @ mass / mass.sum()


def _humanoid(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    healthy = (seen.qpos[:, 2] > 1) & (seen.qpos[:, 2] < 2)
    return 1.25 * speed + 5 * healthy - _effort(seen), ~healthy


def _standup(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    return seen.qpos[:, 2] / seen.model.opt.timestep - _effort(seen) + 1, _never(seen)


def _effort(seen: Batch) -> np.ndarray:
    return 0.1 * _squares(seen.ctrl) + np.minimum(5e-7 * _squares(seen.cfrc_ext), 10)


def _humanoid_sees(seen: Batch) -> np.ndarray:
    parts = (seen.cinert[:, 1:], seen.cvel[:, 1:], seen.qfrc_actuator[:, 6:], seen.cfrc_ext[:, 1:])
    return np.concatenate([seen.qpos[:, 2:], seen.qvel, *(part.reshape(seen.n, -1) for part in parts)], 1)


def _pendulum(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    finite = np.isfinite(seen.qpos).all(1) & np.isfinite(seen.qvel).all(1)
    upright = finite & (np.abs(seen.qpos[:, 1]) <= 0.2)
    return upright.astype(np.float64), ~upright


def _double_pendulum(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    x, y = seen.site_xpos[:, 0, 0], seen.site_xpos[:, 0, 2]
    fallen = y <= 1
    costs = 0.01 * x**2 + (y - 2) ** 2 + 1e-3 * seen.qvel[:, 1] ** 2 + 5e-3 * seen.qvel[:, 2] ** 2
    return 10.0 * ~fallen - costs, fallen


def _double_pendulum_sees(seen: Batch) -> np.ndarray:
    angles = seen.qpos[:, 1:]
    clipped = np.clip(np.concatenate([seen.qvel, seen.qfrc_constraint[:, :1]], 1), -10, 10)
    return np.concatenate([seen.qpos[:, :1], np.sin(angles), np.cos(angles), clipped], 1)


def _body(seen: Batch, name: str) -> np.ndarray:
    return seen.xpos[:, seen.model.body(name).id]


def _pusher(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    thing = _body(seen, "object")
    near, far = (np.linalg.norm(thing - _body(seen, name), axis=1) for name in ("tips_arm", "goal"))
    return -far - 0.1 * _squares(actions) - 0.5 * near, _never(seen)


def _pusher_sees(seen: Batch) -> np.ndarray:
    bodies = [_body(seen, name) for name in ("tips_arm", "object", "goal")]
    return np.concatenate([seen.qpos[:, :7], seen.qvel[:, :7], *bodies], 1)


def _reacher(seen: Batch, speed: np.ndarray, actions: np.ndarray) -> Verdict:
    away = np.linalg.norm(_body(seen, "fingertip") - _body(seen, "target"), axis=1)
    return -away - _squares(actions), _never(seen)


def _reacher_sees(seen: Batch) -> np.ndarray:
    angles, away = seen.qpos[:, :2], _body(seen, "fingertip") - _body(seen, "target")
    return np.concatenate([np.cos(angles), np.sin(angles), seen.qpos[:, 2:], seen.qvel[:, :2], away[:, :2]], 1)


_HUMAN = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext", "xipos")
_PLAIN = ("qpos", "qvel")

TASKS = {
    "Ant-v5": Task((*_PLAIN, "xpos", "cfrc_ext"), _ant_sees, _ant, lambda seen: seen.xpos[:, 1, 0]),
    "HalfCheetah-v5": Task(_PLAIN, _rest(1), _cheetah),
    "Hopper-v5": Task(_PLAIN, _rest(1, 10), _hopper),
    "Humanoid-v5": Task(_HUMAN, _humanoid_sees, _humanoid, _middle),
    "HumanoidStandup-v5": Task(_HUMAN, _humanoid_sees, _standup),
    "InvertedDoublePendulum-v5": Task(
        (*_PLAIN, "site_xpos", "qfrc_constraint"), _double_pendulum_sees, _double_pendulum
    ),
    "InvertedPendulum-v5": Task(_PLAIN, _rest(0), _pendulum),
    "Pusher-v5": Task((*_PLAIN, "xpos"), _pusher_sees, _pusher),
    "Reacher-v5": Task((*_PLAIN, "xpos"), _reacher_sees, _reacher),
    "Swimmer-v5": Task(_PLAIN, _rest(2), _swimmer),
    "Walker2d-v5": Task(_PLAIN, _rest(1, 10), _walker),
}
"""By the ids of Gymnasium, whose versions never change."""
