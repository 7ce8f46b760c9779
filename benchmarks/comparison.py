"""From the figures that peers.py gathers to rows that can be read: pure, so that a file of old figures will do, too.

python -m benchmarks.comparison FILE     prints the table of a file that `make bench-peers` wrote
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIGURES = ("conversation", "packet", "loss", "callers")
PACKET_LOST_AFTER_TURN = 2

Figures = dict[str, Any]


FRAME_MS = 20  # as long as a packet's sound: the best that a time can be told apart by


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of every server, in the order of `servers`; None where it was not measured."""

    name: str
    unit: str
    values: tuple[float | None, ...]

    def ratios(self) -> tuple[float | None, ...]:
        """How many times the first server's each other's value is; None of what is nothing, within a frame."""
        first, *others = self.values
        if first is None or first <= (FRAME_MS if self.unit == "ms" else 0):
            return tuple(None for _ in others)
        return tuple(None if other is None else other / first for other in others)


def servers(figures: Figures) -> list[str]:
    """Their names, GoAssist first."""
    return list(dict.fromkeys(name for figure in FIGURES for name in figures.get(figure, {})))


def rows(figures: Figures) -> list[Row]:
    """The table's rows, of the figures that are there."""
    names = servers(figures)

    def row(title: str, unit: str, by_server: Figures, value: Callable[[Any], float | None]) -> Row:
        measured = [by_server.get(name, {}) for name in names]
        return Row(title, unit, tuple(None if not each or "failed" in each else value(each) for each in measured))

    found: list[Row] = []
    if by_server := figures.get("conversation"):
        found += [
            row("voice to voice, 1 caller", "ms", by_server, lambda each: p(each["voice_to_voice_ms"], "p50")),
            row("barge-in, p50", "ms", by_server, lambda each: p(each["barge_in_ms"], "p50")),
            row("barge-in, p95", "ms", by_server, lambda each: p(each["barge_in_ms"], "p95")),
            row("CPU per session-minute, 1 caller", "s", by_server, lambda each: each["cpu_s_per_session_minute"]),
        ]
    if by_server := figures.get("packet"):
        found.append(row("slower after one lost packet", "ms", by_server, slower_after_lost_packet))
    if by_server := figures.get("loss"):
        found += [
            row("voice to voice, 5 % loss", "ms", by_server, lambda each: p(each["voice_to_voice_ms"], "p50")),
            row("turns missed, 5 % loss", "", by_server, lambda each: each["missed"]),
        ]
    counted = figures.get("callers", {})
    for count in sorted({int(count) for each in counted.values() for count in each}):
        by_server = {name: each.get(str(count), {}) for name, each in counted.items()}
        found += [
            row(f"sessions without gaps, of {count}", "", by_server, lambda each: each["callers_without_gaps"]),
            row(f"voice to voice, {count} callers", "ms", by_server, lambda each: p(each["voice_to_voice_ms"], "p50")),
            row(
                f"CPU per session-minute, {count} callers",
                "s",
                by_server,
                lambda each: each["cpu_s_per_session_minute"],
            ),
        ]
    if counted:
        alone = figures.get("conversation", {})
        by_server = {name: ({"1": alone[name]} if name in alone else {}) | each for name, each in counted.items()}
        found.append(row("memory per session", "MB", by_server, memory_per_session))
    return found


def carried(result: Figures) -> bool:
    """Whether every call was answered, and most had no gap; with fewer, more callers would tell nothing further."""
    if "failed" in result or result["missed"]:
        return False
    return bool(result["callers_without_gaps"] * 2 > result["callers"])


def p(milliseconds: dict[str, float] | None, percentile: str) -> float | None:
    """A percentile, where there are values."""
    return milliseconds[percentile] if milliseconds else None


def slower_after_lost_packet(result: Figures) -> float | None:
    """Median voice to voice of the turns after the lost packet less that of those before, in ms."""
    turns = {int(turn): each["p50"] for turn, each in result["voice_to_voice_by_turn_ms"].items()}
    before = [value for turn, value in turns.items() if turn <= PACKET_LOST_AFTER_TURN]
    after = [value for turn, value in turns.items() if turn > PACKET_LOST_AFTER_TURN]
    return statistics.median(after) - statistics.median(before) if before and after else None


def memory_per_session(by_count: Figures) -> float | None:
    """What one more call takes: the slope from the fewest callers to the most that were carried, in MB."""
    measured = sorted(int(count) for count, each in by_count.items() if "failed" not in each)
    most = max((count for count in measured if carried(by_count[str(count)])), default=0)
    if not measured or most <= measured[0]:
        return None
    first, last = measured[0], most
    difference: float = by_count[str(last)]["resident_mb"] - by_count[str(first)]["resident_mb"]
    return round(difference / (last - first), 2)


def markdown(figures: Figures) -> str:
    """The table: each server's figures, then the others' as multiples of the first's."""
    names = servers(figures)
    heads = ["", *names, *(f"{name} ÷ {names[0]}" for name in names[1:])]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for each in rows(figures):
        values = ["–" if value is None else f"{value:g} {each.unit}".strip() for value in each.values]
        ratios = ["–" if ratio is None or ratio <= 0 else f"{ratio:.2g} ×" for ratio in each.ratios()]
        lines.append([each.name, *values, *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())["figures"]))
