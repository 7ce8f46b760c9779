"""The figures of all scripts together, and their table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.dialogue.talk import Observed, Pause

EARLY_TURNS = 2  # of a call: the endpointer does not know the speaker yet
SHORT_S = 0.75  # pauses that were meant to be 700 ms at most, handed over by a busy machine


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its target. `met` is None where there is none, or nothing to judge.

    `number` is what a ratio can be made of: a share, a median in ms, or a count.
    """

    figure: str
    value: str
    target: str
    count: int
    met: bool | None
    number: float | None = None


def rows(observed: Sequence[Observed]) -> list[Row]:
    """The table's rows."""
    pauses = [pause for each in observed for pause in each.pauses]
    short = [pause for pause in pauses if pause.length_s <= SHORT_S]
    long = [pause for pause in pauses if pause.length_s > SHORT_S]
    delays = [1000 * delay for each in observed for delay in each.delays]
    # Of the same calls, so that the same speakers are compared.
    longer = [each.delays for each in observed if len(each.delays) > 2 * EARLY_TURNS]
    early = [1000 * delay for each in longer for delay in each[:EARLY_TURNS]]
    later = [1000 * delay for each in longer for delay in each[EARLY_TURNS:]]
    stops = [1000 * stop for each in observed for stop in each.stops]
    resumed = [went_on for each in observed for _, went_on in each.resumed]
    silences = [1000 * silence for each in observed for silence in each.silences]
    lost = [1000 * each_lost for each in observed for each_lost in each.lost]
    words = [abs(heard - kept) <= 1 for each in observed for heard, kept in each.words]
    missed = sum(each.missed for each in observed)
    unstopped = sum(each.unstopped for each in observed)
    return [
        share("takeovers in pauses up to 700 ms", _taken(short), most=0.05),
        share("– after words that cannot be all", _taken(pause for pause in short if pause.sentence_so_far is False)),
        share("– after words that are a sentence so far", _taken(pause for pause in short if pause.sentence_so_far)),
        share("takeovers in longer pauses", _taken(long)),
        times("response delay", delays, median=350),
        times("– in the first two turns of longer calls", early),
        times("– in their later turns", later),
        times("stop latency", stops, median=120, p95=150),
        Row("interruptions that did not stop the agent", str(unstopped), "0", len(stops) + unstopped, unstopped == 0),
        share("false interruptions after which the answer went on, whole", resumed, least=1.0),
        times("silence because of one", silences, median=600),
        times("sound lost to one", lost),
        share("words remembered as heard, ± 1", words, least=1.0),
        Row(
            "caller's own frames late, p99 at worst",
            f"{1000 * max((each.late_s for each in observed), default=0):.0f} ms",
            "",
            len(observed),
            None,
        ),
        Row("missed turns", str(missed), "0", len(delays) + missed, missed == 0, missed),
    ]


def table(all_rows: Sequence[Row]) -> str:
    """The rows that tell of something, as a Markdown table."""
    lines = ["| figure | value | target | n | |", "|---|---|---|---|---|"]
    marks = {True: "met", False: "not met", None: ""}
    lines += [
        f"| {row.figure} | {row.value} | {row.target} | {row.count} | {marks[row.met]} |"
        for row in all_rows
        if row.count
    ]
    return "\n".join(lines)


def side_by_side(by_server: Mapping[str, Sequence[Observed]]) -> str:
    """What every server did, as a Markdown table; ratios are to the first one's figures."""
    names = list(by_server)
    of_each = [rows(observed) for observed in by_server.values()]
    heads = ["figure", *names, *(f"{name} ÷ {names[0]}" for name in names[1:])]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for first, *others in zip(*of_each, strict=True):
        if any(row.count for row in (first, *others)) and first.number is not None:
            ratios = [f"{row.number / first.number:.2g} ×" if row.number and first.number else "–" for row in others]
            cells = [first.figure, first.value, *(row.value for row in others), *ratios]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _taken(pauses: Iterable[Pause]) -> list[bool]:
    return [pause.taken for pause in pauses]


def share(figure: str, values: Sequence[bool], *, most: float | None = None, least: float | None = None) -> Row:
    """How many of the values are true, and the target."""
    true = float(np.mean(values)) if values else 0.0
    target = f"≤ {most:.0%}" if most is not None else f"≥ {least:.0%}" if least is not None else ""
    met = None
    if values and most is not None:
        met = true <= most
    elif values and least is not None:
        met = true >= least
    return Row(figure, f"{true:.0%} ({sum(values)} of {len(values)})", target, len(values), met, true)


def times(figure: str, values_ms: Sequence[float], *, median: float | None = None, p95: float | None = None) -> Row:
    """Their median and 95th percentile, and the targets of these; both have to be met."""
    if not values_ms:
        return Row(figure, "–", "", 0, None)
    seen = dict(zip(("p50", "p95"), map(float, np.percentile(values_ms, [50, 95])), strict=True))
    most = {name: most_ms for name, most_ms in (("p50", median), ("p95", p95)) if most_ms is not None}
    target = ", ".join(f"{name} ≤ {most_ms:.0f} ms" for name, most_ms in most.items())
    met = all(seen[name] <= most_ms for name, most_ms in most.items()) if most else None
    value = ", ".join(f"{name} {value_ms:.0f} ms" for name, value_ms in seen.items())
    return Row(figure, value, target, len(values_ms), met, seen["p50"])
