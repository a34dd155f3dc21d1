"""The report: one HTML file with tables and drawings, made from rows and nothing else.

It opens without a network and runs no script: style and SVG are inside, and a content security policy refuses
everything else. Names of runs, learners and splits come from folders and files of unknown origin, so all text goes
through `escape`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report."""

    title: str
    """Plain text."""
    body: str
    """HTML, made by the functions of `elements` and `drawings`, which escape what they are given."""
