"""Text, tables and the frame of the page. Everything that is given as text is escaped here."""

import html
from collections.abc import Sequence

from evaluation import page
from evaluation.stats.intervals import Interval

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--faint:#626a73;--line:#d8dde3;--paper:#fff;--wash:#f4f6f8;--good:0,114,178}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--faint:#98a1ab;--line:#3a424b;--paper:#14171a;--wash:#1d2226;
--good:86,180,233}}
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:2rem 1.25rem 4rem;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.25rem;margin:2.75rem 0 .5rem;padding-top:1rem;
border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.75rem 0 .25rem}p{max-width:62rem;margin:.4rem 0}
.faint,small{color:var(--faint)}small{font-size:.82em;display:block;line-height:1.25}.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.6rem 0 1rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .65rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:8rem;
max-width:18rem}th small{white-space:normal;font-weight:400;max-width:9rem;margin-left:auto}
thead th{border-bottom:2px solid var(--line);font-weight:600}tbody tr:hover{background:var(--wash)}
td b{font-weight:600}summary{cursor:pointer;margin:.4rem
0;font-weight:600}svg{max-width:100%;height:auto;display:block;margin:.6rem 0 1rem}svg text{fill:var(--ink); font:12px
system-ui,"DejaVu Sans",sans-serif}svg .faint{fill:var(--faint)}svg .grid{stroke:var(--line);stroke-width:1} svg
.axis{stroke:var(--faint);stroke-width:1}
"""


def escape(text: object) -> str:
    """Text made harmless for HTML, attributes included; control characters become a replacement mark."""
    clean = "".join(c if c.isprintable() or c == " " else "\ufffd" for c in str(text))
    return html.escape(clean, quote=True)


def paragraph(text: str, *, faint: bool = False) -> str:
    """One paragraph of plain text."""
    return f"<p{' class=faint' if faint else ''}>{escape(text)}</p>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def number(value: float) -> str:
    """A number as text: two digits after the point while it is small, whole with thousands marked when it is large."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return text.removeprefix("-") if float(text) == 0 else text


def details(title: str, body: str) -> str:
    """HTML that is folded away under a title until it is asked for; the browser does that without any script."""
    return f"<details><summary>{escape(title)}</summary>\n{body}</details>\n"


def cell(interval: Interval | None, below: str = "", shade: float | None = None) -> str:
    """A table cell: the value, its interval under it, a further remark under that.

    Args:
        interval: What to show; None gives a dash.
        below: Plain text.
        shade: Strength of the background in 0..1; None for no background.
    """
    if interval is None:
        return f"<td>\u2013{_small(below)}</td>"
    shown = f"<b>{number(interval.value)}</b>"
    shown += _small(f"{number(interval.low)} \u2026 {number(interval.high)}" if interval.n_runs > 1 else "1 run")
    style = "" if shade is None else f' style="background:rgba(var(--good),{0.5 * min(max(shade, 0.0), 1.0):.3f})"'
    return f"<td{style}>{shown}{_small(below)}</td>"


def words(text: object, below: str = "") -> str:
    """A table cell of plain text."""
    return f"<td>{escape(text)}{_small(below)}</td>"


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def table(columns: Sequence[str | tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    Args:
        columns: Plain-text heads, each alone or with a remark for under it.
        rows: Cells made by `cell` and `words`.
    """
    heads = [(c, "") if isinstance(c, str) else c for c in columns]
    head = "".join(f"<th>{escape(name)}{_small(remark)}</th>" for name, remark in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n"


def document(title: str, lead: str, sections: Sequence[page.Section]) -> str:
    """The whole page as HTML text."""
    parts = "".join(f"<section><h2>{escape(s.title)}</h2>\n{s.body}</section>\n" for s in sections)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>"
    )
    body = f"<h1>{escape(title)}</h1>\n{paragraph(lead, faint=True)}\n{parts}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'
