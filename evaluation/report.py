"""Draw every row under a folder as one HTML file that opens without a network.

    python -m evaluation.report runs/

The page is a pure function of the rows in all `measurements.jsonl` below the folder: the same rows give the same bytes.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from scenes.kit import errors, options, plugins, runs

PROG = "python -m evaluation.report"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a report."""

    out: Path | None = None
    """File to write; by default report.html in the folder."""
    title: str = "What the codes were worth"
    """Headline."""


def main(argv: list[str]) -> Path:
    """Write the report that a command line describes; returns its path."""
    if argv and argv[0] in ("-h", "--help"):
        options.parse(f"{PROG} FOLDER", argv, Options)
    if not argv or argv[0].startswith("-"):
        raise errors.CaveError(f"{PROG} wants a folder of runs as its first word, as in {PROG} runs", errors.USAGE)
    given, _, _ = options.parse(f"{PROG} FOLDER", argv[1:], Options)
    folder = Path(argv[0])
    started = time.monotonic()
    rows = collect(folder)
    text = html(rows, given.title)
    out = given.out or folder / "report.html"
    runs.write_file(out, text.encode())
    print(f"{len(rows)} rows drawn in {time.monotonic() - started:.1f} s: {out}")
    return out


def collect(folder: Path) -> list[Any]:
    """Every row below a folder, each measurement once.

    Raises:
        CaveError: there is no such folder, no rows in it, or a damaged file.
    """
    import evaluation

    if not folder.is_dir():
        raise errors.CaveError(f"{folder} is not a folder: give the one that holds the runs", errors.USAGE)
    paths = sorted(folder.rglob(evaluation.FILE))
    if not paths:
        raise errors.CaveError(f"{folder} holds no {evaluation.FILE}: python -m evaluation.run makes the first")
    rows = {row.key: row for path in paths for row in evaluation.read(path)}
    return list(rows.values())


def html(rows: list[Any], title: str) -> str:
    """The page: what each protocol found among the rows, and where they come from."""
    from evaluation.page import cells, elements, sources

    sections = []
    for name in sorted(plugins.names("evaluation"), key=lambda name: name != "transfer"):  # what was asked comes first
        if cells.pick(rows, protocol=name):
            sections += plugins.load("evaluation", name, "protocol").sections(rows)
    learners = ", ".join(cells.methods(rows))
    return elements.document(title, f"{len(rows)} measurements of {learners}.", [*sections, sources.section(rows)])


if __name__ == "__main__":
    options.main(main)
