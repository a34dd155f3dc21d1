"""Figures as inline SVG: points with intervals, and curves with bands."""

import dataclasses
import math
from collections.abc import Sequence

from evaluation.page.elements import escape, number
from evaluation.stats.intervals import Interval

# Okabe and Ito's colours, told apart by most eyes and legible on white and on black; marks differ too.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c8c", "#a6761d")
_WIDTH, _LEFT, _RIGHT = 900, 190, 36


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line with a band: at each `x` an interval."""

    name: str
    x: Sequence[float]
    y: Sequence[Interval]


def colour(index: int) -> str:
    """The colour of the `index`-th thing in a figure."""
    return _COLOURS[index % len(_COLOURS)]


def ticks(low: float, high: float, n: int = 6) -> list[float]:
    """About `n` round numbers that lie in [low, high]."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10 ** math.floor(math.log10(span / n))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if span / (m * step) <= n)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def points(groups: Sequence[tuple[str, Sequence[Interval | None]]], names: Sequence[str], axis: str) -> str:
    """Points with whiskers, one group of lines a split, one line a learner.

    Args:
        groups: Title of each group and an interval for each of `names` (None: not measured).
        names: Of the things compared.
        axis: What the horizontal axis shows.
    """
    known = [i for _, row in groups for i in row if i is not None]
    if not known:
        return ""
    low, high = _padded(min(i.low for i in known), max(i.high for i in known), include=(0.0,))
    place = lambda v: _LEFT + (v - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
    step, gap, top = 15, 14, 34 + 18 * math.ceil(len(names) / 5)
    height = top + len(groups) * (len(names) * step + gap) + 34
    body = [_legend(names), _vertical_grid(low, high, place, top - 8, height - 34, axis, height)]
    y = top
    for title, row in groups:
        middle = y + len(names) * step / 2
        body.append(f'<text x="{_LEFT - 12}" y="{middle:.1f}" text-anchor="end">{escape(title)}</text>')
        for index, interval in enumerate(row):
            if interval is not None:
                body.append(_whisker(place, interval, y + index * step + step / 2, index, names[index]))
        y += len(names) * step + gap
    return _svg(height, body, f"{axis}, by split and encoder")


def curves(lines: Sequence[Curve], x_axis: str, y_axis: str) -> str:
    """Curves with bands.

    Args:
        lines: The curves; those without points are left out of the drawing and kept in the legend.
        x_axis: What the horizontal axis shows.
        y_axis: What the vertical axis shows.
    """
    xs = [x for line in lines for x in line.x]
    ys = [v for line in lines for i in line.y for v in (i.low, i.high)]
    if not xs:
        return ""
    names = [line.name for line in lines]
    left, top = 70, 34 + 18 * math.ceil(len(names) / 5)
    height = top + 330
    x0, x1 = _padded(min(xs), max(xs), include=(0.0,), pad=0.0)
    y0, y1 = _padded(min(ys), max(ys))
    across = lambda v: left + (v - x0) / (x1 - x0) * (_WIDTH - left - _RIGHT)
    up = lambda v: top + (1 - (v - y0) / (y1 - y0)) * 290
    body = [_legend(names), _vertical_grid(x0, x1, across, top, top + 290, x_axis, height)]
    for v in ticks(y0, y1):
        body.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{up(v):.1f}" y2="{up(v):.1f}"/>')
        body.append(f'<text class="faint" x="{left - 8}" y="{up(v) + 4:.1f}" text-anchor="end">{_tick(v)}</text>')
    body.append(f'<text class="faint" x="{left - 8}" y="{top - 10}" text-anchor="end">{escape(y_axis)}</text>')
    for index, line in enumerate(lines):
        if not line.x:
            continue
        there = [f"{across(x):.1f},{up(i.high):.1f}" for x, i in zip(line.x, line.y)]
        back = [f"{across(x):.1f},{up(i.low):.1f}" for x, i in zip(line.x, line.y)][::-1]
        path = " ".join(f"{across(x):.1f},{up(i.value):.1f}" for x, i in zip(line.x, line.y))
        body.append(f'<polygon points="{" ".join(there + back)}" fill="{colour(index)}" fill-opacity="0.18"/>')
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour(index)}" stroke-width="2"/>')
    return _svg(height, body, f"{y_axis} against {x_axis}")


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _padded(low: float, high: float, include: tuple[float, ...] = (), pad: float = 0.04) -> tuple[float, float]:
    low, high = min(low, *include, math.inf), max(high, *include, -math.inf)
    span = (high - low) or max(1.0, abs(high))
    return low - pad * span, low + (high - low or span) + pad * span


def _vertical_grid(low, high, place, top, bottom, axis, height) -> str:
    parts = []
    for v in ticks(low, high, 8):
        kind = "axis" if v == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{place(v):.1f}" x2="{place(v):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="faint" x="{place(v):.1f}" y="{bottom + 15}" text-anchor="middle">{_tick(v)}</text>')
    middle = (place(low) + place(high)) / 2
    return "".join(parts) + f'<text x="{middle:.1f}" y="{height - 3}" text-anchor="middle">{escape(axis)}</text>'


def _whisker(place, interval: Interval, y: float, index: int, name: str) -> str:
    low, value, high = (place(v) for v in (interval.low, interval.value, interval.high))
    tip = f"{escape(name)}: {number(interval.value)} ({number(interval.low)} \u2026 {number(interval.high)})"
    line = (
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour(index)}" stroke-width="2.5"/>'
    )
    return f"<g><title>{tip}</title>{line}{_mark(value, y, index)}</g>"


def _mark(x: float, y: float, index: int) -> str:
    shapes = (
        "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
        "M-4-4H4V4H-4Z",
        "M0-6L5 4H-5Z",
        "M0-6L5 0L0 6L-5 0Z",
        "M0 6L5-4H-5Z",
    )
    return f'<path d="{shapes[index % len(shapes)]}" transform="translate({x:.1f} {y:.1f})" fill="{colour(index)}"/>'


def _legend(names: Sequence[str]) -> str:
    parts = []
    for index, name in enumerate(names):
        x, y = 12 + 176 * (index % 5), 14 + 18 * (index // 5)
        short = name if len(name) <= 24 else name[:23] + "\u2026"
        parts.append(f'{_mark(x, y, index)}<text x="{x + 11}" y="{y + 4}">{escape(short)}</text>')
    return "".join(parts)


def _svg(height: float, body: list[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" role="img"><title>{escape(title)}</title>'
        f"{''.join(body)}</svg>\n"
    )
