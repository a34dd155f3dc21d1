"""Train a learner: `python -m learners.train gqn --env rooms`."""

from scenes.kit import options, plugins

PROG = "python -m learners.train"


def main(argv: list[str]) -> None:
    """Read the command line, train, and say where the products lie."""
    name, rest = options.choose(argv, PROG, "Train a learner on what an environment shows.", "learners", "learner")
    module = plugins.load("learners", name, "learner")
    from learners.training import loop  # after the choice: a bare --help costs no torch

    world = plugins.load("envs", options.peek(rest, "--env", loop.Run.env), "environment")
    config = loop.sized(
        module.Config, options.peek(rest, "--size", loop.Run.size), options.peek(rest, "--device", "auto")
    )
    run, model, env = options.parse(f"{PROG} {name}", rest, loop.Run, config, world.Config)
    loop.train(name, run, model, env)


if __name__ == "__main__":
    options.main(main)
