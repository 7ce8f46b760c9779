"""The chart of docs/benchmarks.md: `python -m benchmarks.chart docs/benchmarks/peers.json docs/benchmarks/peers.svg`.

One panel a figure, one bar a server, each panel with a scale of its own. It has its own background, so that it can be
read on a light page and on a dark one; its colours follow the reader's.
"""

import json
import sys
from html import escape
from pathlib import Path

from benchmarks.comparison import Figures, Row, rows, servers

WIDTH, MARGIN, GUTTER = 960, 24, 40
COLUMNS = 2
PANEL_HEIGHT, BAR, BAR_GAP = 124, 20, 7
LABEL, HEADER = 120, 84
STYLE = """
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 } .panel { font-weight: 600 } .quiet { fill: #59636e }
  .page { fill: #ffffff; stroke: #d1d9e0 } .axis { stroke: #d1d9e0 }
  .s0 { fill: #0a7d5a } .s1 { fill: #b4690e } .s2 { fill: #8a63a8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 } .page { fill: #0d1117; stroke: #3d444d } .axis { stroke: #3d444d }
    .s0 { fill: #3fb68b } .s1 { fill: #e0a04b } .s2 { fill: #b898d6 }
  }
"""


def chosen(figures: Figures) -> list[Row]:
    """The rows worth a panel: of figures with several numbers of callers, the one that tells most."""
    found = {row.name: row for row in rows(figures)}
    wanted = ["voice to voice, 1 caller", "barge-in, p50", "CPU per session-minute, 1 caller"]
    wanted += [name for name in found if name.startswith("slower after")]
    wanted += [name for name in found if name.startswith("memory")]
    shared = [name for name in found if name.startswith("voice to voice,") and name.endswith(" callers")]
    shared = [name for name in shared if None not in found[name].values]
    return [found[name] for name in [*wanted[:2], *shared[-1:], *wanted[2:]] if name in found]


def svg(figures: Figures, note: str) -> str:
    """The chart. `note` tells what it was measured on."""
    names, panels = servers(figures), chosen(figures)
    lines = (len(panels) + COLUMNS - 1) // COLUMNS
    height = HEADER + lines * PANEL_HEIGHT + 44
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GUTTER) // COLUMNS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text id="t" class="title" x="{MARGIN}" y="36">The same callers and models for every server</text>',
        f'<text class="quiet" x="{MARGIN}" y="58">Shorter bars are better. Each panel has its own scale.</text>',
    ]
    for index, row in enumerate(panels):
        x = MARGIN + index % COLUMNS * (width + GUTTER)
        parts += _panel(row, names, x, HEADER + index // COLUMNS * PANEL_HEIGHT, width)
    parts.append(f'<text class="quiet" x="{MARGIN}" y="{height - 18}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(row: Row, names: list[str], x: int, y: int, width: int) -> list[str]:
    known = [max(0.0, value) for value in row.values if value is not None]
    largest = max(known, default=0.0) or 1.0
    room = width - LABEL - 84  # for the value behind the longest bar
    bottom = y + 28 + len(names) * (BAR + BAR_GAP)
    left = x + LABEL
    parts = [
        f'<text class="panel" x="{x}" y="{y + 14}">{escape(row.name)}</text>',
        f'<line class="axis" x1="{left}" y1="{y + 24}" x2="{left}" y2="{bottom - BAR_GAP + 4}"/>',
    ]
    for index, (name, value) in enumerate(zip(names, row.values, strict=True)):
        top = y + 28 + index * (BAR + BAR_GAP)
        length = max(0.0, value or 0.0) / largest * room
        shown = "not measured" if value is None else f"{value:g} {row.unit}".strip()
        parts += [
            f'<text class="quiet" x="{left - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="s{index % 3}" x="{left}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{left + length + 8:.1f}" y="{top + 15}">{escape(shown)}</text>',
        ]
    return parts


def note(machine: dict[str, str | int]) -> str:
    """One line of what a file's figures were measured on."""
    return f"p50. {machine['processor']}, {machine['cores']} cores, the server on one; {machine['measured_at']}"


if __name__ == "__main__":
    written = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(svg(written["figures"], note(written["machine"])))
