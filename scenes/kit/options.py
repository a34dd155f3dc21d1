"""Command lines and JSON to and from frozen dataclasses.

A command is parsed in two steps, so that its bare `--help` costs no torch: `choose` reads the first word and lists the
choices from the folder, `peek` looks for `--env`; then, with the chosen modules imported, `parse` reads everything into
at most three dataclasses: options of the run (`--steps`), of the model (`--model.n-layers`) and of the environment
(`--env.n-objects`). A whole command is

    def main(argv):
        name, rest = options.choose(argv, PROG, "Train a learner.", "learners", "learner")
        module = plugins.load("learners", name, "learner")
        world = plugins.load("envs", options.peek(rest, "--env", "rooms"), "environment")
        run, model, env = options.parse(f"{PROG} {name}", rest, Run, module.Config, world.Config)

    if __name__ == "__main__":
        options.main(main)

tyro reads types, defaults and the sentence under each field, and prints the help. What it says of a slip fills a box;
here it becomes one line: what was given, what is accepted, what was perhaps meant.
"""

import ast
import contextlib
import dataclasses
import difflib
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from scenes.kit import errors, plugins


def main(run: Callable[[list[str]], Any], argv: Sequence[str] | None = None) -> None:
    """Run a command and end the process: errors become one line on standard error and an exit code.

    Exit codes: 0; `errors.USAGE` or `errors.FAILED` as a CaveError says; 1 for a full disk and its like, and for a
    fault of the program; 130 after Ctrl-C. `--debug` anywhere in `argv` (by default the process's) shows tracebacks.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who began the process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        run([word for word in argv if word != "--debug"])
        sys.stdout.flush()
    except KeyboardInterrupt:
        _end("interrupted", 130, debug)
    except errors.CaveError as error:
        _end(str(error), error.code, debug)
    except BrokenPipeError:
        # Whoever read the output has left (`| head`); nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(errors.FAILED)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _end(f"{error.strerror or error}{where}", errors.FAILED, debug)
    except Exception as error:
        hint = "" if debug else " (run again with --debug for the traceback)"
        _end(f"internal: {type(error).__name__}: {error}{hint}", errors.FAILED, debug)


def _end(message: str, code: int, debug: bool) -> typing.NoReturn:
    if debug:
        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def choose(argv: Sequence[str], prog: str, about: str, package: str, what: str) -> tuple[str, list[str]]:
    """The first word of a command line, one of a package's choices, and the rest of the line.

    `--help` in its place prints the choices with the first line of each one's docstring (nothing is imported) and ends.

    Raises:
        errors.CaveError: no word was given, or one that is no choice.
        SystemExit: after printing the help.
    """
    names = plugins.names(package)
    if argv and argv[0] in ("-h", "--help"):
        width = max((len(name) for name in names), default=0)
        print(f"usage: {prog} {what.upper()} [OPTIONS]\n\n{about}\n\n{what.upper()} is one of")
        for name in names:
            print(f"  {name:{width}}  {_first_line(package, name)}")
        print(
            f"\nIts options: {prog} {names[0] if names else what.upper()} --help; --debug anywhere shows the traceback of a fault"
        )
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        given = f"{argv[0]!r} came first" if argv else "nothing was given"
        accepted = ", ".join(names)
        raise errors.CaveError(
            f"{prog} wants the {what} as its first word, {given}: choose from {accepted}", errors.USAGE
        )
    if argv[0] not in names:
        raise errors.unknown(what, argv[0], names)
    return argv[0], list(argv[1:])


def _first_line(package: str, name: str) -> str:
    """The first line of a module's docstring, read from its file."""
    folders = importlib.util.find_spec(package).submodule_search_locations
    file = next(path for folder in folders if (path := pathlib.Path(folder, f"{name}.py")).exists())
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n")[0]


def peek(argv: Sequence[str], flag: str, default: str) -> str:
    """The value of one option, `--env mazes` or `--env=mazes`, before anything else of the line is understood."""
    value = default
    for i, word in enumerate(argv):
        if word == flag:
            if i + 1 == len(argv) or argv[i + 1].startswith("--"):
                raise errors.CaveError(f"{flag} wants a value; none was given", errors.USAGE)
            value = argv[i + 1]
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def parse(prog: str, argv: Sequence[str], run: Any, model: Any = None, env: Any = None) -> tuple[Any, Any, Any]:
    """Read a command line into dataclasses.

    Args:
        prog: What to call the program in its help.
        argv: Words after the choice.
        run: Options at the top level: a dataclass, or an instance whose values are then the defaults.
        model: The same for `--model.*`; None: the command has none.
        env: The same for `--env.*`.

    Returns:
        Instances of the three; None for those not asked for.

    Raises:
        errors.CaveError: with `errors.USAGE`, one line that names the option, what was given and what it takes.
        SystemExit: after `--help`.
    """
    import tyro  # an eighth of a second, needless before something is parsed

    groups = {name: given for name, given in (("run", run), ("model", model), ("env", env)) if given is not None}
    flags = _flags(groups)
    _check_names(argv, flags)
    fields = []
    for name, given in groups.items():
        kind = given if isinstance(given, type) else type(given)
        default = dataclasses.field(default_factory=given if isinstance(given, type) else lambda given=given: given)
        # Options of the run carry no prefix.
        fields.append((name, typing.Annotated[kind, tyro.conf.arg(name="")] if name == "run" else kind, default))
    whole = dataclasses.make_dataclass("Options", fields, frozen=True)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            made = tyro.cli(whole, args=list(argv), prog=prog, description="")
    except SystemExit as end:
        if not end.code:
            raise
        raise _slip(told.getvalue(), argv, flags) from None
    return tuple(getattr(made, name, None) for name in ("run", "model", "env"))


def _flags(groups: dict[str, Any]) -> dict[str, Any]:
    """Every option's name with its type."""
    flags = {}
    for group, given in groups.items():
        prefix = "--" if group == "run" else f"--{group}."
        kind = given if isinstance(given, type) else type(given)
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.init:
                name = field.name.replace("_", "-")
                flags[prefix + name] = hints[field.name]
                if hints[field.name] is bool:
                    flags[f"{prefix}no-{name}"] = bool
    return flags


def _check_names(argv: Sequence[str], flags: dict[str, Any]) -> None:
    for word in argv:
        name = word.partition("=")[0].replace("_", "-")
        if word.startswith("--") and name not in flags and name != "--help":
            group = name.partition(".")[0] + "." if "." in name else ""
            near = [flag for flag in flags if flag.startswith(group)] if group else [f for f in flags if "." not in f]
            # A slip may lie in the group's name too, or the group may have been left out.
            close = difflib.get_close_matches(name, flags, n=1, cutoff=0.6)
            close = close or [flag for flag in flags if flag.partition(".")[2] == name[2:]]
            hint = f"; did you mean {close[0]!r}?" if close else ""
            accepted = ", ".join(sorted(near or flags))
            raise errors.CaveError(f"unknown option {word!r}: choose from {accepted}{hint}", errors.USAGE)


def _slip(told: str, argv: Sequence[str], flags: dict[str, Any]) -> errors.CaveError:
    """tyro's complaint as one line."""
    text = " ".join(re.sub(r"[^\x20-\x7e]|-{4,}", " ", told).split())
    packed = text.replace(" ", "")  # its lines break anywhere, at hyphens too
    for name in flags:
        words = _values(argv, name)
        if words is None or not (f"argument'{name}'" in packed or f"parsing{name}:" in packed):
            continue
        kind = flags[name]
        if typing.get_origin(kind) is typing.Literal and words:
            return errors.unknown(f"value of {name}", words[-1], map(str, typing.get_args(kind)))
        given = f"not {' '.join(words)!r}" if words else "and was given nothing"
        return errors.CaveError(f"{name} wants {_describe(kind)}, {given}", errors.USAGE)
    for word in argv:
        if f"ecognizedoptions:{''.join(word.split())}" in packed:
            return errors.CaveError(f"unexpected {word!r}: options begin with --, see --help", errors.USAGE)
    return errors.CaveError(text or "the options cannot be read: see --help", errors.USAGE)


def _values(argv: Sequence[str], name: str) -> list[str] | None:
    """The words given to option `name`; None if it is not on the line."""
    values, inside = None, False
    for word in argv:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            inside = flag.replace("_", "-") == name
            values = ([value] if equals else []) if inside else values
        elif inside:
            values.append(word)
    return values


def _describe(kind: Any) -> str:
    """What a type accepts, in words."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("None" if arg is type(None) else _describe(arg) for arg in args)
    if origin in (tuple, list):
        one = [arg for arg in args if arg is not Ellipsis]
        if origin is list or Ellipsis in args:
            return f"any number of values, each {_describe(one[0])}"
        return f"{len(one)} values ({', '.join(_describe(kind) for kind in one)})"
    if origin is typing.Annotated:
        return _describe(args[0])
    names = {int: "a whole number", float: "a number", bool: "no value, it is a switch", str: "text"}
    return names.get(kind, "a path" if isinstance(kind, type) and issubclass(kind, pathlib.Path) else str(kind))


def to_dict(config: Any) -> Any:
    """A dataclass as a tree of what JSON knows: dicts, lists, text, numbers, bools and None."""
    if dataclasses.is_dataclass(config):
        return {field.name: to_dict(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(name): to_dict(value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_dict(value) for value in config]
    return str(config) if isinstance(config, pathlib.Path) else config


def from_dict(kind: type, tree: Any, where: str = "config") -> Any:
    """The dataclass that `to_dict` made the tree of; fields that it lacks keep their defaults.

    Args:
        kind: The dataclass.
        tree: From JSON; nothing is trusted.
        where: What to call it in errors.

    Raises:
        errors.CaveError: an unknown or missing field, or a value of another type; the line names the field.
    """
    if not isinstance(tree, dict):
        raise errors.CaveError(f"{where} is {_show(tree)}, wanted a table of {kind.__qualname__}'s fields")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in tree:
        if name not in fields:
            raise errors.CaveError(str(errors.unknown(f"field of {where}", str(name), fields)))
    hints = typing.get_type_hints(kind)
    values = {name: _read(hints[name], value, f"{where}.{name}") for name, value in tree.items()}
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise errors.CaveError(f"{where}.{name} is missing: wanted {_describe(hints[name])}")
    return kind(**values)


def _read(kind: Any, value: Any, where: str) -> Any:
    """One value as its annotated type."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value, where)
    if origin is typing.Annotated:
        return _read(args[0], value, where)
    if origin is typing.Literal and any(type(value) is type(arg) and value == arg for arg in args):
        return value
    if origin in (typing.Union, types.UnionType):
        for arg in args:
            with contextlib.suppress(errors.CaveError):
                return _read(arg, value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if Ellipsis in args else args
        if len(kinds) == len(value):
            return tuple(_read(one, part, f"{where}[{i}]") for i, (one, part) in enumerate(zip(kinds, value)))
    if origin is list and isinstance(value, list):
        return [_read(args[0], part, f"{where}[{i}]") for i, part in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: _read(args[1], part, f"{where}.{name}") for name, part in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, bool, str, type(None)) and type(value) is kind:
        return value
    if isinstance(kind, type) and issubclass(kind, pathlib.Path) and isinstance(value, str):
        return kind(value)
    raise errors.CaveError(f"{where} is {_show(value)}, wanted {_describe(kind)}")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def config_hash(config: Any) -> str:
    """Twelve hexadecimal digits that stand for a dataclass, or anything `to_dict` takes, by its canonical JSON."""
    text = json.dumps(to_dict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
