"""Write episodes of a trained agent as a folder of arrays.

    python -m agents.record runs/ppo-state-rooms-0 --n-episodes 100 --out recordings/rooms

Each `episodes-NNNNN.safetensors` holds whole episodes behind one another, one row a step: what the sensors said before
the action (`image`, `pose`, `goal`, `state`), `action`, `reward`, `terminated` (the task ended) and `truncated` (the time limit
struck); episode `i` of the file owns rows `offsets[i]:offsets[i + 1]`. `card.json` says who played, where, from which
seed. Learners watch them through the stream `Episodes`: `envs.stream("rooms", config, "Episodes", "train", 0, 16,
player="recordings/rooms")`.
"""

from scenes.kit import errors, options

PROG = "python -m agents.record"


def main(argv: list[str]) -> None:
    """Read the command line, play, write, and say where the episodes lie."""
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: {PROG} RUN [OPTIONS]\n\n{__doc__}\nIts options: {PROG} RUN --help")
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        raise errors.CaveError(f"{PROG} wants the folder of an agent's run as its first word", errors.USAGE)
    from agents.training import recording  # here, so that the help needs no torch

    chosen, _, _ = options.parse(f"{PROG} RUN", argv[1:], recording.Options)
    recording.record(argv[0], chosen)


if __name__ == "__main__":
    options.main(main)
