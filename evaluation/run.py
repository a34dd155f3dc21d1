"""Measure: train what a study lacks, then let one protocol measure every subject.

    python -m evaluation.run transfer --env rooms --encoders gqn beta_vae untrained:gqn pixels state --seeds 5

Rows go to `measurements.jsonl` in the study's folder, subject by subject. Run again, the same line finds what is done
by the hash of all that it depends on, and does what is missing: an interrupted study goes on, and a longer list of
encoders or seeds adds to it. `--model.*` are options of the agent, `--env.*` of the environment; encoders that are
trained for a study watch from wherever the agent's eye may be (`--env.cameras free`), unless that is set otherwise.
"""

import dataclasses
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scenes.kit import errors, options, plugins, runs

PROG = "python -m evaluation.run"


def main(argv: list[str]) -> Path:
    """Run the study that a command line describes; returns the file of its rows."""
    about = "Train what is missing and measure it."
    import evaluation

    name, rest = options.choose(argv, PROG, about, "evaluation", "protocol")
    protocol = plugins.load("evaluation", name, "protocol")
    world = plugins.load("envs", options.peek(rest, "--env", "rooms"), "environment")
    agent = plugins.load("agents", options.peek(rest, "--agent", "ppo"), "agent")
    config, agent_config, env_config = options.parse(
        f"{PROG} {name}", rest, protocol.Config, agent.Config, where_agents_look(world.Config())
    )
    path = study(name, config, agent_config, env_config)
    if hasattr(protocol, "summary"):
        print(protocol.summary(evaluation.read(path)))
    print(f"rows in {path}; python -m evaluation.report {config.runs} draws them")
    return path


def where_agents_look(env_config: Any) -> Any:
    """The environment's options with the cameras of learners where agents' eyes are, if it has that option."""
    has = any(field.name == "cameras" for field in dataclasses.fields(env_config))
    return dataclasses.replace(env_config, cameras="free") if has else env_config


def study(name: str, config: Any, agent_config: Any, env_config: Any) -> Path:
    """Measure every subject of a protocol that is not measured yet; returns the file of rows."""
    import evaluation

    protocol = plugins.load("evaluation", name, "protocol")
    settings = settle(name, config, agent_config, env_config)
    label = config.name or f"{name}-{config.env}-{options.config_hash(settings)[:8]}"
    there = (config.runs / label / "config.json").is_file()
    subjects = protocol.subjects(config, agent_config, env_config)
    path = runs.create(config.runs, label, settings, resume=there) / evaluation.FILE
    rows = {row.key: row for row in evaluation.read(path)} if path.exists() else {}
    started, measured = time.monotonic(), 0
    for number, subject in enumerate(subjects, start=1):
        if not done(name, config, subject, rows.values()):
            rows |= {row.key: row for row in protocol.measure(config, subject, list(rows.values()))}
            evaluation.write(path, rows.values())
            measured += 1
            spent = (time.monotonic() - started) / measured * (len(subjects) - number)
            print(f"{name} {number}/{len(subjects)}: {describe(subject)}, about {spent:.0f} s to go", file=sys.stderr)
    if not rows:
        raise errors.CaveError(f"{name} measured nothing: it has no subjects", errors.USAGE)
    return path


def settle(name: str, config: Any, agent_config: Any, env_config: Any) -> dict[str, Any]:
    """All that makes a study this one and no other. Encoders and seeds are left out: they may be added later."""
    growing = ("encoders", "seeds", "encoder_seeds", "runs", "name", "jobs")
    plain = {key: value for key, value in options.to_dict(config).items() if key not in growing}
    trees = {"model": options.to_dict(agent_config), "env": options.to_dict(env_config)}
    return {"command": "evaluation.run", "protocol": name, "study": plain, **trees}


def done(name: str, config: Any, subject: Any, rows: Iterable[Any]) -> bool:
    """Whether a subject was measured with these options: a row exists that agrees with all that is known of it."""
    import agents
    from evaluation.studies import facts, study

    sight = None if subject.policy or subject.learner in agents.PLAYERS else facts.sight(subject)
    known = facts.of(subject, sight) | {"protocol": name, "options_hash": study.options_hash(config)}
    # A learning curve has rows at many steps; a readout is trained on a split of its protocol's choosing.
    known = {field: value for field, value in known.items() if field not in ("env_steps", "policy_split")}
    return any(all(getattr(row, field) == value for field, value in known.items()) for row in rows)


def describe(subject: Any) -> str:
    """A subject in a few words."""
    return f"{subject.learner}, encoder seed {subject.encoder_seed}, seed {subject.seed}"


if __name__ == "__main__":
    options.main(main)
