"""What the figures of run.py ought to be, and whether they are: pure, so that a file of old figures will do, too.

python -m benchmarks.targets FILE     prints the table of a file that `make bench BENCH_ARGS="--json FILE"` wrote
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Figures, memory_per_session, p, slower_after_lost_packet

ONE, MANY = 1, 50  # callers; of more nothing is promised
PACKET_LOST = "one packet lost after turn 2"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, the most that it may be, and how it is found in what was measured: None where it was not."""

    figure: str
    most: float
    unit: str
    value: Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured, and whether that reaches it: None where it was not measured."""

    target: Target
    value: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the figure is no more than it may be."""
        return None if self.value is None else self.value <= self.target.most


def by_callers(figures: Figures) -> dict[int, Figures]:
    """The runs of so many callers; of the same number on one core and on several, those on one."""
    found: dict[int, Figures] = {}
    for name, result in figures.items():
        run = re.fullmatch(r"(\d+) callers?(, \d+ workers)?", name)
        if run and int(run[1]) <= MANY and not (run[2] and int(run[1]) in found):
            found[int(run[1])] = result
    return found


def losing(figures: Figures) -> list[Figures]:
    """The runs that lose packets."""
    return [result for name, result in figures.items() if name.endswith("% loss") or name == PACKET_LOST]


def voice_to_voice(callers: int) -> Callable[[Figures], float | None]:
    """Of so many callers."""
    return lambda figures: p(by_callers(figures).get(callers, {}).get("voice_to_voice_ms"), "p50")


def barge_in(percentile: str) -> Callable[[Figures], float | None]:
    """Of the runs with interruptions the one where it took longest."""
    return lambda figures: max(
        (taken[percentile] for each in by_callers(figures).values() if (taken := each["barge_in_ms"])), default=None
    )


def cpu_s(figures: Figures) -> float | None:
    """Of a session-minute."""
    value: float | None = by_callers(figures).get(MANY, {}).get("cpu_s_per_session_minute")
    return value


def total(key: str, results: list[Figures]) -> float | None:
    """Of several runs together. Figures that were taken before this was counted have none."""
    counted = [each[key] for each in results if key in each]
    return sum(counted) if counted else None


def all_runs(figures: Figures) -> list[Figures]:
    """Those of which anything is promised."""
    return [*by_callers(figures).values(), *losing(figures)]


def slower(figures: Figures) -> float | None:
    """By how much the turns after one lost packet."""
    return slower_after_lost_packet(figures[PACKET_LOST]) if PACKET_LOST in figures else None


def resident_mb(figures: Figures) -> float | None:
    """Of one more session."""
    return memory_per_session({str(count): each for count, each in by_callers(figures).items()})


TARGETS = (
    Target("voice to voice, 1 caller, p50", 300, "ms", voice_to_voice(ONE)),
    Target(f"voice to voice, {MANY} callers, p50", 350, "ms", voice_to_voice(MANY)),
    Target("barge-in, p50", 120, "ms", barge_in("p50")),
    Target("barge-in, p95", 150, "ms", barge_in("p95")),
    Target(f"CPU per session-minute, {MANY} callers", 0.9, "s", cpu_s),
    Target("gaps over 60 ms", 0, "", lambda figures: total("gaps_over_60_ms", all_runs(figures))),
    Target("holes over 60 ms", 0, "", lambda figures: total("holes_over_60_ms", all_runs(figures))),
    Target("slower after one lost packet", 20, "ms", slower),
    Target("turns missed where packets were lost", 0, "", lambda figures: total("missed", losing(figures))),
    Target("memory per session", 3, "MB", resident_mb),
)


def judged(figures: Figures, targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Every target beside what was measured."""
    return [Verdict(target, target.value(figures)) for target in targets]


def table(verdicts: Sequence[Verdict]) -> str:
    """As Markdown."""
    words = {True: "yes", False: "no", None: "not measured"}
    lines = ["| figure | target | value | reached |", "|---|---:|---:|---|"]
    for each in verdicts:
        unit, most = each.target.unit, each.target.most
        target = f"≤ {most:g} {unit}" if most else "none"
        value = "–" if each.value is None else f"{each.value:g} {unit}".strip()
        lines.append(f"| {each.target.figure} | {target} | {value} | {words[each.reached]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(judged(json.loads(Path(sys.argv[1]).read_text())["figures"])))
