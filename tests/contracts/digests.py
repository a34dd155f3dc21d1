"""What worlds did, as hashes, one of each world: the same in any process. Started as a program, it prints all as JSON.

python digests.py 7 100
"""

import hashlib
import json
import sys

import numpy as np

import envs
from scenes.kit import plugins

SEED, STEPS = 8, 12


def digest(name: str, n: int, resets: int) -> list[str]:
    """A hash for each of `n` worlds, of all that they gave in some steps, after `resets` resets that leave no trace."""
    module = envs.module(name)
    world = envs.make(name, module.Config.tiny(), n, seed=SEED, sensors=envs.SENSORS)
    rng = np.random.default_rng(resets)
    for _ in range(resets):
        world.reset(None if world.episode.min() < 0 else rng.random(n) < 0.5, SEED + rng.integers(0, 1000, n))
    world.reset(None, SEED + np.arange(n))
    hashes = [hashlib.sha256() for _ in range(n)]
    for t in range(STEPS):
        told = {"action": world.random(), **{f"seen {sensor}": value for sensor, value in world.observe().items()}}
        told["reward"], told["terminated"], told["truncated"] = world.step(told["action"])
        told |= world.facts()["factors"]
        for key in sorted(told):
            for row, one in enumerate(hashes):
                one.update(np.ascontiguousarray(told[key][row]).tobytes())
        done = told["terminated"] | told["truncated"] | (t == STEPS // 2)
        if done.any():
            world.reset(done)
    return [one.hexdigest() for one in hashes]


if __name__ == "__main__":
    number, before = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({name: digest(name, number, before) for name in plugins.names("envs")}))
