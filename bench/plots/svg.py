"""Draws a chart. Colours follow the reader's light or dark setting; series differ in shape, too."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from bench.plots.chart import Chart, Row, number

WIDTH: Final = 880
_MARGIN: Final = 20
_LINE: Final = 18
_ROW_GAP: Final = 10
_HEAD: Final = 74
_FOOT: Final = 46
_CHARACTER: Final = 6.7
"""About the width of one at 12 px."""
_VALUE_WIDTH: Final = 64
_STYLE: Final = """<style>
.paper{fill:#ffffff}.text{fill:#1f2328}.faint{fill:#59636e}.grid{stroke:#d1d9e0}.bound{stroke:#59636e}
.s0{fill:#0969da;stroke:#0969da}.s1{fill:#bc4c00;stroke:#bc4c00}.s2{fill:#1a7f37;stroke:#1a7f37}
.s3{fill:#8250df;stroke:#8250df}.stem{stroke-opacity:.35;stroke-width:2}
@media (prefers-color-scheme:dark){.paper{fill:#0d1117}.text{fill:#f0f6fc}.faint{fill:#9198a1}.grid{stroke:#3d444d}
.bound{stroke:#9198a1}.s0{fill:#58a6ff;stroke:#58a6ff}.s1{fill:#f0883e;stroke:#f0883e}.s2{fill:#3fb950;stroke:#3fb950}
.s3{fill:#bc8cff;stroke:#bc8cff}}
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}.title{font-size:15px;font-weight:600}
</style>"""


def draw(chart: Chart) -> str:
    """The file's text."""
    lines = sum(len(row.marks) for row in chart.rows)
    height = _HEAD + lines * _LINE + len(chart.rows) * _ROW_GAP + _FOOT
    left = _MARGIN + max(len(row.label) for row in chart.rows) * _CHARACTER + 12
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(chart.title)}">',
        f"<title>{escape(chart.title)}</title>",
        _STYLE,
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        _text(_MARGIN, 26, chart.title, "text title"),
        *_legend(chart),
        *_axis(chart, left, height),
        *_rows(chart, left),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(chart: Chart) -> Iterator[str]:
    across = float(_MARGIN)
    if len(chart.series) < 2:
        return
    for index, name in enumerate(chart.series):
        yield _shape(index, across + 5, 46)
        yield _text(across + 15, 50, name, "faint")
        across += 15 + len(name) * _CHARACTER + 18


def _axis(chart: Chart, left: float, height: int) -> Iterator[str]:
    bottom = height - _FOOT
    for tick in chart.ticks:
        across = _across(chart, left, tick)
        yield f'<line class="grid" x1="{across:.1f}" y1="{_HEAD - 6}" x2="{across:.1f}" y2="{bottom}"/>'
        yield _text(across, bottom + 16, number(tick), "faint", "middle")
    yield _text((left + WIDTH - _MARGIN - _VALUE_WIDTH) / 2, bottom + 36, chart.axis, "faint", "middle")
    for bound in chart.bounds:
        across = _across(chart, left, bound.value)
        yield (
            f'<line class="bound" stroke-dasharray="5 4" x1="{across:.1f}" y1="{_HEAD - 6}" '
            f'x2="{across:.1f}" y2="{bottom}"/>'
        )
        yield _text(across, _HEAD - 10, f"{bound.label} {number(bound.value)}", "faint", "middle")


def _rows(chart: Chart, left: float) -> Iterator[str]:
    top = float(_HEAD)
    for row in chart.rows:
        yield _text(left - 12, top + _LINE * len(row.marks) / 2 + 4, row.label, "text", "end")
        yield from _marks(chart, row, left, top)
        top += _LINE * len(row.marks) + _ROW_GAP


def _marks(chart: Chart, row: Row, left: float, top: float) -> Iterator[str]:
    for index, mark in enumerate(row.marks):
        across, down = _across(chart, left, mark.value), top + _LINE * index + _LINE / 2
        yield (f'<line class="s{mark.series} stem" x1="{left:.1f}" y1="{down:.1f}" x2="{across:.1f}" y2="{down:.1f}"/>')
        yield _shape(mark.series, across, down)
        yield _text(across + 9, down + 4, number(mark.value), "text")


def _across(chart: Chart, left: float, value: float) -> float:
    return left + chart.place(value) * (WIDTH - _MARGIN - _VALUE_WIDTH - left)


def _shape(series: int, across: float, down: float) -> str:
    """A circle, a square, a diamond or a triangle."""
    style = f'class="s{series % 4}"'
    if series % 4 == 0:
        return f'<circle {style} cx="{across:.1f}" cy="{down:.1f}" r="4.5"/>'
    corners = {
        1: ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        2: ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
        3: ((0, -5), (5, 4), (-5, 4)),
    }[series % 4]
    points = " ".join(f"{across + right:.1f},{down + below:.1f}" for right, below in corners)
    return f'<polygon {style} points="{points}"/>'


def _text(across: float, down: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
