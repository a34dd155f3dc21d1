"""Train an agent in an environment, seen through a frozen encoder or a baseline.

    python -m agents.train ppo --env rooms --encoder runs/gqn-rooms-0
    python -m agents.train ppo --env rooms --encoder pixels --env-steps 100000 --seed 1 --model.gamma 0.97

`--encoder` is the run of a learner, or `pixels`, `state`, `untrained:<learner>`. The run's folder holds `config.json`,
`provenance.json`, `metrics.jsonl`, TensorBoard events, `checkpoints/` and, at the end, `policy/`. Ctrl-C saves; the
same line with `--resume` goes on.
"""

from scenes.kit import options, plugins

PROG = "python -m agents.train"


def main(argv: list[str]) -> None:
    """Read the command line, train, and say where the policy lies."""
    name, rest = options.choose(argv, PROG, "Train an agent on a frozen encoder or a baseline.", "agents", "agent")
    module = plugins.load("agents", name, "agent")
    world = plugins.load("envs", options.peek(rest, "--env", "rooms"), "environment")
    from agents.training import loop  # here, so that listing the agents needs no torch

    run, model, env = options.parse(f"{PROG} {name}", rest, loop.Run, module.Config, world.Config)
    loop.train(name, run, model, env)


if __name__ == "__main__":
    options.main(main)
