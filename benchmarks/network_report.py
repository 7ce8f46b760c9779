"""From the figures that network.py gathers to tables and verdicts: pure, so that a file of old figures will do, too.

python -m benchmarks.network_report FILE     prints the tables of a file that `benchmarks.network --json` wrote
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.comparison import FRAME_MS, Figures, p
from benchmarks.conditions import CONDITIONS, NOTHING
from benchmarks.targets import Target, judged, table

PHASES = ("before", "during", "after")
BEFORE, AFTER, AGAIN = "before", "after", "after as many calls of one question"
ABSENT = "–"


def conditions(figures: Figures) -> dict[str, Any]:
    """Of the calls that did not fail."""
    return {key: each for key, each in figures["conditions"].items() if "failed" not in each}


def at_ms(result: Figures, phase: str) -> float | None:
    """Voice to voice in a phase of a call, p50."""
    return p(result["voice_to_voice_ms"][phase], "p50")


def ratio(figures: Figures, key: str, phase: str) -> float | None:
    """How many times as long as in the same phase of the call with nothing wrong."""
    results = conditions(figures)
    if key not in results or NOTHING not in results:
        return None
    value, usual = at_ms(results[key], phase), at_ms(results[NOTHING], phase)
    return None if value is None or not usual else value / usual


def worst(value: Callable[[Figures], float | None]) -> Callable[[Figures], float | None]:
    """A figure of the call in which it is the largest; None where it was measured in none."""

    def of(figures: Figures) -> float | None:
        return max((found for each in conditions(figures).values() if (found := value(each)) is not None), default=None)

    return of


def slower(phase: str) -> Callable[[Figures], float | None]:
    """Voice to voice of the slowest call in a phase, less that of the call with nothing wrong, which is in it, too."""

    def of(figures: Figures) -> float | None:
        results = conditions(figures)
        usual = at_ms(results[NOTHING], phase) if NOTHING in results else None
        slowest = worst(lambda each: at_ms(each, phase))(figures)
        return None if usual is None or slowest is None or len(results) < 2 else slowest - usual

    return of


def grown(what: str, since: str, until: str) -> Callable[[Figures], float | None]:
    """What the server holds more than before, each time while nobody calls."""

    def of(figures: Figures) -> float | None:
        first, last = figures["idle"][since].get(what), figures["idle"][until].get(what)
        return None if first is None or last is None else round(last - first, 1)

    return of


def failed(figures: Figures) -> float:
    """Calls that could not be made, or came to an end."""
    return len(figures["conditions"]) - len(conditions(figures))


def total(key: str) -> Callable[[Figures], float | None]:
    """Of all calls together; None where all failed."""
    return lambda figures: sum(each[key] for each in conditions(figures).values()) if conditions(figures) else None


def missing_percent(result: Figures) -> float:
    """Of the agent's packets."""
    return round(100 * float(result["agent_packets_missing"]), 1)


TARGETS = (
    Target("calls that failed", 0, "", failed),
    Target("turns missed", 0, "", total("missed")),
    Target("turns taken before their end", 0, "", total("early")),
    Target("slower in trouble than with nothing wrong, at most", 100, "ms", slower("during")),
    # Two frames: these are medians of few turns.
    Target("slower after trouble than with nothing wrong, at most", 2 * FRAME_MS, "ms", slower("after")),
    Target("gaps over 60 ms", 0, "", total("gaps_over_60_ms")),
    Target("holes over 60 ms", 0, "", total("holes_over_60_ms")),
    Target("agent's packets missing in one call, at most", 1, "%", worst(missing_percent)),
    Target("open files left of the calls", 0, "", grown("files", BEFORE, AFTER)),
    # Calls leave garbage that waits for the collector, up to some 25 MB: the next ones add little to it.
    Target("memory left of as many calls again", 8, "MB", grown("resident_mb", AFTER, AGAIN)),
)


def written(value: float | None, unit: str = "") -> str:
    """A figure with its unit, or a dash."""
    return ABSENT if value is None else f"{value:g} {unit}".strip()


def by_condition(figures: Figures) -> str:
    """A row for each call, as Markdown."""
    heads = [
        "condition",
        *(f"voice to voice {phase}" for phase in PHASES),
        "during, × nothing wrong",
        "turns",
        "missed / early",
        "gaps / holes",
        "agent's packets missing",
    ]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for key, each in figures["conditions"].items():
        if "failed" in each:
            lines.append([CONDITIONS[key].name, f"failed: {each['failed']}", *[""] * (len(heads) - 2)])
            continue
        times = ratio(figures, key, "during")
        lines.append(
            [
                CONDITIONS[key].name,
                *(written(at_ms(each, phase), "ms") for phase in PHASES),
                ABSENT if times is None else f"{times:.2f}",
                str(each["turns"] + each["missed"] + each["early"]),
                f"{each['missed']} / {each['early']}",
                f"{each['gaps_over_60_ms']} / {each['holes_over_60_ms']}",
                f"{missing_percent(each):g} %",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(figures: Figures) -> str:
    """Everything, as Markdown."""
    idle, repeated = figures["idle"], sum(each["repeated"] for each in conditions(figures).values())
    lines = ["| server, nobody calling | open files | memory |", "|---|---:|---:|"]
    for when, each in idle.items():
        lines.append(f"| {when} | {written(each['files'])} | {written(each['resident_mb'], 'MB')} |")
    about = (
        f"Each trouble lasted {figures['trouble_s']:g} s, all calls at the same time. Frames late at most: server "
        f"{written(figures['server_late_ms'], 'ms')}, callers {figures['callers_late_ms']:g} ms (gaps of that size may "
        f"be theirs); {repeated} turns were asked again since their caller stuttered."
    )
    return "\n\n".join([by_condition(figures), "\n".join(lines), about, table(judged(figures, TARGETS))])


if __name__ == "__main__":
    print(report(json.loads(Path(sys.argv[1]).read_text())["figures"]))
