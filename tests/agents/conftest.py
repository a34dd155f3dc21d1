"""A world so small that what should happen in it can be written down, and an encoder that remembers."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

N_ACTIONS, SIZE = 4, 40


class Guess:
    """Name the number that you are shown: right ends the episode and pays 1; `max_steps` wrong guesses cut it off.

    Everything shown is a function of (seed, episode, step), so a slow copy can be played by hand. `max_steps` differs
    between worlds, so that some end while others go on.
    """

    def __init__(self, n, seed=0, sensors=("image", "pose", "goal", "state")):
        self.n, self.split, self.sensors, self.max_steps = n, "train", sensors, 5
        self.seeds, self.episode, self.t = seed + np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.action_space = spaces.Discrete(N_ACTIONS)
        box = lambda *shape: spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "pose": box(5),
                "goal": box(N_ACTIONS),
                "state": box(2),
            }
        )

    def number(self):
        return (self.seeds * 7 + self.episode * 5 + self.t * 3) % N_ACTIONS

    def reset(self, mask=None, seeds=None, factors=None):
        mask = np.ones(self.n, bool) if mask is None else mask
        if seeds is not None:
            self.seeds[mask], self.episode[mask] = np.asarray(seeds)[mask], -1
        self.episode[mask] += 1
        self.t[mask] = 0

    def step(self, actions):
        right = np.asarray(actions) == self.number()
        self.t += 1
        return right.astype(np.float32), right, ~right & (self.t >= self.max_steps + self.seeds % 3)

    def observe(self, out=None):
        number = self.number()
        image = np.zeros((self.n, SIZE, SIZE, 3), np.uint8)
        image[:] = (40 * number + self.t)[:, None, None, None]
        pose = np.stack([number, self.t, self.episode, 0.3 * self.t, -0.1 * number], 1).astype(np.float32)
        state = np.stack([self.t, self.episode], 1).astype(np.float32)
        return {"image": image, "pose": pose, "goal": np.eye(N_ACTIONS, dtype=np.float32)[number], "state": state}

    def factors(self):
        return {"number": self.number()}

    def scripted(self):
        return self.number()

    def state_dict(self):
        return {"seeds": self.seeds.copy(), "episode": self.episode.copy(), "t": self.t.copy()}

    def load_state_dict(self, state):
        self.seeds, self.episode, self.t = (np.array(state[name]) for name in ("seeds", "episode", "t"))


class Trace(torch.nn.Module):
    """An encoder with weights, a batch statistic that must not move, and a memory: a leaky sum of mean brightness."""

    sensors, shape, image_size, frames = ("image", "pose"), (2, 3), (SIZE, SIZE), 1

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3)
        self.linear = torch.nn.Linear(3, 6)

    def initial(self, b):
        return {"sum": torch.zeros(b, 3)}

    def forward(self, obs, state):
        total = 0.5 * state["sum"] + self.norm(obs["image"].float().mean((1, 2)) / 255)
        return (self.linear(total) + obs["pose"].sum(1, keepdim=True)).reshape(-1, 2, 3), {"sum": total}

    def reset(self, state, mask):
        return {"sum": state["sum"] * ~mask[:, None]}


@pytest.fixture(autouse=True)
def one_thread():
    """Matrices this small only lose by being shared between cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def guess():
    return Guess


@pytest.fixture
def trace():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Trace()
