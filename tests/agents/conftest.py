"""A world so small that what should happen in it can be written down, and an encoder that remembers."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

import envs

N_ACTIONS, SIZE = 4, 40


class Guess(envs.World):
    """Name the number that you are shown: right ends the episode and pays 1; the time limit cuts off wrong guesses.

    Everything shown is a function of (seed, episode, step), so a slow copy can be played by hand.
    """

    def __init__(self, n, seed=0, sensors=("image", "pose", "goal", "state")):
        box = lambda *shape: spaces.Box(-np.inf, np.inf, shape, np.float32)
        shown = {"image": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8), "pose": box(5), "state": box(2)}
        shown["goal"] = box(N_ACTIONS)
        super().__init__(None, n, "train", seed, sensors, (SIZE, SIZE), 5, spaces.Discrete(N_ACTIONS), shown)
        self.right = np.zeros(n, bool)

    def number(self):
        return (self.seeds * 7 + self.episode * 5 + self.steps * 3) % N_ACTIONS

    def begin(self, rows, index, factors):
        self.right[rows] = False

    def advance(self, actions):
        self.right = actions == self.number()
        return self.right.astype(np.float32), self.right.copy()

    def read(self, rows):
        number, t = self.number(), self.steps
        image = np.zeros((self.n, SIZE, SIZE, 3), np.uint8)
        image[:] = (40 * number + t)[:, None, None, None]
        pose = np.stack([number, t, self.episode, 0.3 * t, -0.1 * number], 1).astype(np.float32)
        state = np.stack([t, self.episode], 1).astype(np.float32)
        whole = {"image": image, "pose": pose, "goal": np.eye(N_ACTIONS, dtype=np.float32)[number], "state": state}
        return {sensor: whole[sensor][rows] for sensor in self.sensors}

    def scripted(self):
        return self.number()

    def facts(self):
        return {"factors": {"number": self.number()}, "success": self.right.copy()}


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
