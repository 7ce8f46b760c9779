"""From what the calls over bad networks gave to tables and verdicts."""

from typing import Any

import pytest

from benchmarks.conditions import NOTHING
from benchmarks.network_report import AFTER, AGAIN, BEFORE, TARGETS, by_condition, report
from benchmarks.targets import Verdict, judged


def call(before: float = 270, during: float = 280, after: float = 275, **changes: Any) -> dict[str, Any]:
    """What network.py writes of a call in which all is well."""
    phases = {"before": before, "during": during, "after": after}
    return {
        "voice_to_voice_ms": {name: {"p50": value} for name, value in phases.items()},
        "turns": 30,
        "missed": 0,
        "early": 0,
        "repeated": 0,
        "gaps_over_60_ms": 0,
        "holes_over_60_ms": 0,
        "agent_packets_missing": 0.0,
    } | changes


def figures(**conditions: dict[str, Any]) -> dict[str, Any]:
    """A whole run: these, and the call with nothing wrong."""
    held = {"files": 26, "resident_mb": 200.0}
    return {
        "conditions": {NOTHING: call(), **conditions},
        "idle": {BEFORE: held, AFTER: held | {"resident_mb": 220.0}, AGAIN: held | {"resident_mb": 221.0}},
        "trouble_s": 100.0,
        "server_late_ms": 12,
        "callers_late_ms": 7,
    }


def verdict(figure: str, of: dict[str, Any]) -> Verdict:
    (found,) = [each for each in judged(of, TARGETS) if each.target.figure.startswith(figure)]
    return found


def test_a_good_run_reaches_every_target() -> None:
    assert [
        each.target.figure for each in judged(figures(loss=call(during=379, after=315)), TARGETS) if not each.reached
    ] == []


@pytest.mark.parametrize(
    ("figure", "worse", "value"),
    [
        ("calls that failed", {"failed": "the answer went on"}, 1),
        ("turns missed", call(missed=2), 2),
        ("turns taken before their end", call(early=1), 1),
        ("slower in trouble", call(during=381), 101),
        ("slower after trouble", call(after=316), 41),
        ("gaps", call(gaps_over_60_ms=3), 3),
        ("holes", call(holes_over_60_ms=1), 1),
        ("agent's packets missing", call(agent_packets_missing=0.0112), 1.1),
    ],
)
def test_each_call_that_is_worse_than_promised_is_told(figure: str, worse: dict[str, Any], value: float) -> None:
    of = figures(loss=call(), slow=worse, stereo=call())
    assert verdict(figure, of).value == value
    assert [each.target for each in judged(of, TARGETS) if each.reached is False] == [verdict(figure, of).target]


@pytest.mark.parametrize(
    ("figure", "when", "change", "value"),
    [
        ("open files left", AFTER, {"files": 27}, 1),
        ("memory left", AGAIN, {"resident_mb": 228.1}, 8.1),
    ],
)
def test_what_the_server_does_not_give_back_is_told(
    figure: str, when: str, change: dict[str, float], value: float
) -> None:
    of = figures(loss=call())
    of["idle"][when] |= change
    assert verdict(figure, of).value == value
    assert [each.target for each in judged(of, TARGETS) if each.reached is False] == [verdict(figure, of).target]


def test_delay_that_the_call_with_nothing_wrong_has_too_is_not_the_troubles() -> None:
    slow_machine = {NOTHING: call(during=600, after=500), "slow": call(during=620, after=490)}
    of = figures() | {"conditions": slow_machine}
    assert (verdict("slower in", of).value, verdict("slower after", of).value) == (20, 0)


def test_without_the_call_to_compare_with_nothing_is_said_about_delay() -> None:
    of = figures(slow=call(during=900))
    of["conditions"][NOTHING] = {"failed": "the question was not answered"}
    assert verdict("slower in", of).reached is None
    assert verdict("calls that failed", of).value == 1
    assert "| clock 500 ppm slow | 270 ms | 900 ms | 275 ms | – |" in by_condition(of)


def test_a_server_that_does_not_tell_its_files_is_not_judged_by_them() -> None:
    of = figures(loss=call())
    of["idle"][BEFORE] = of["idle"][AFTER] = {"files": None, "resident_mb": 200.0}
    assert verdict("open files", of).reached is None
    assert "| before | – | 200 MB |" in report(of)


def test_each_call_has_a_row() -> None:
    of = figures(
        loss=call(
            during=350, missed=1, early=2, turns=27, gaps_over_60_ms=4, holes_over_60_ms=3, agent_packets_missing=0.021
        ),
        stops={"failed": "the answer went on though it was cancelled"},
    )
    of["conditions"]["slow"] = call()
    of["conditions"]["slow"]["voice_to_voice_ms"]["during"] = None
    lines = by_condition(of).splitlines()
    assert "| nothing wrong | 270 ms | 280 ms | 275 ms | 1.00 | 30 | 0 / 0 | 0 / 0 | 0 % |" in lines
    assert "| 20 % of packets lost | 270 ms | 350 ms | 275 ms | 1.25 | 30 | 1 / 2 | 4 / 3 | 2.1 % |" in lines
    assert any(line.startswith("| clock 500 ppm slow | 270 ms | – | 275 ms | – |") for line in lines)
    assert any("failed: the answer went on though it was cancelled" in line for line in lines)
    assert len({line.count("|") for line in lines}) == 1


def test_the_report_tells_how_long_it_was_and_how_late_everybody() -> None:
    of = figures(loss=call(repeated=2), slow=call(repeated=1))
    assert "lasted 100 s" in report(of)
    assert "server 12 ms, callers 7 ms" in report(of)
    assert "3 turns were asked again" in report(of)
