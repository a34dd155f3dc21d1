"""Write episodes of a trained agent as a folder of arrays.

    python -m agents.record runs/ppo-state-rooms-0 --n-episodes 100 --out recordings/rooms

Each `episodes-NNNNN.safetensors` holds whole episodes behind one another, one row a step: `image` (what was seen before
the action), `pose`, `goal`, `action`, `reward`, `done` (the task ended) and `cut` (the time limit struck), and `offsets`: episode `i` owns rows
`offsets[i]:offsets[i + 1]`. `card.json` says who played, where, and from which seed.
"""

import dataclasses
from pathlib import Path

from scenes.kit import options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a recording."""

    split: str = "train"
    """Split of the environment to play in."""
    n_episodes: int = 100
    """How many."""
    seed: int = 0
    """Episode `j` is the first of the world with seed `seed + j`."""
    n_worlds: int = 64
    """Worlds that run side by side."""
    deterministic: bool = False
    """Take the likeliest actions instead of sampled ones."""
    out: Path = Path("recordings")
    """Folder to write; it must not exist yet."""


