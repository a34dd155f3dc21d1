"""Film episodes of a trained agent: what it sees, where it is, and what its encoder had imagined.

    python -m evaluation.video runs/ppo-gqn-rooms-0 --split new-colours --episodes 4

The third panel is what the encoder predicts of the agent's present view before seeing it, from the views it remembers
(a prior sample: the truth has no part in it); black where it has seen nothing yet. Encoders that imagine nothing say
so. The film is written aside, reopened, its frames counted and measured, and only then given its name.
"""

import dataclasses
from pathlib import Path

from scenes.kit import errors, options

PROG = "python -m evaluation.video"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a film."""

    split: str = "test"
    """Split of the environment to play in."""
    episodes: int = 4
    """How many, one after the other."""
    seed: int = 0
    """Other seeds, other episodes; none of them was ever trained on."""
    deterministic: bool = False
    """Take the likeliest actions instead of sampled ones."""
    fps: float = 8.0
    """Steps shown in a second."""
    out: Path | None = None
    """File to write, ending in .mp4; by default film-SPLIT.mp4 in the run's folder."""


def main(argv: list[str]) -> Path:
    """Write the film that a command line describes; returns its path."""
    if argv and argv[0] in ("-h", "--help"):
        options.parse(f"{PROG} RUN", argv, Options)
    if not argv or argv[0].startswith("-"):
        raise errors.CaveError(f"{PROG} wants the run of an agent as its first word", errors.USAGE)
    given, _, _ = options.parse(f"{PROG} RUN", argv[1:], Options)
    if given.episodes < 1 or given.fps <= 0:
        asked = f"--episodes {given.episodes} --fps {given.fps:g}"
        raise errors.CaveError(f"{asked}: a film needs at least one episode and a speed above 0", errors.USAGE)
    run = Path(argv[0])

    import agents
    from evaluation.film import episodes
    from scenes.kit import films

    policy = agents.load_policy(run)
    out = given.out or run / f"film-{given.split}.mp4"
    films.check_name(out)  # before anything is played
    frames = episodes.frames(policy, given.split, given.episodes, episodes.seed_of(given.seed), given.deterministic)
    films.write(out, frames, given.fps)
    height, width = frames[0].shape[:2]
    print(f"{len(frames)} frames of {width} x {height}, {len(frames) / given.fps:.0f} s, reopened and counted: {out}")
    return out


if __name__ == "__main__":
    options.main(main)
