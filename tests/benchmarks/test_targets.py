"""From the benchmark's figures to what was promised."""

from typing import Any

import pytest

from benchmarks.targets import PACKET_LOST, Verdict, judged, table


def measured(callers: int, **changes: Any) -> dict[str, Any]:
    """What load.py prints of a run in which all is well."""
    return {
        "callers": callers,
        "missed": 0,
        "voice_to_voice_ms": {"p50": 280, "p95": 300},
        "voice_to_voice_by_turn_ms": {str(turn): {"p50": 280} for turn in range(6)},
        "barge_in_ms": {"p50": 90, "p95": 120},
        "gaps_over_60_ms": 0,
        "holes_over_60_ms": 0,
        "callers_without_gaps": callers,
        "cpu_s_per_session_minute": 0.7,
        "resident_mb": 200.0 + 1.5 * callers,
    } | changes


def figures(**changes: dict[str, Any]) -> dict[str, Any]:
    """A whole benchmark, with changes to some of its runs."""
    runs = {
        "1 caller": measured(1, cpu_s_per_session_minute=3.2),
        "50 callers": measured(50),
        "1 % loss": measured(1, barge_in_ms=None),
        "20 % loss": measured(1, barge_in_ms=None),
        PACKET_LOST: measured(1, barge_in_ms=None),
    }
    for name, change in changes.items():
        runs[name] |= change
    return runs


def verdict(figure: str, of: dict[str, Any]) -> Verdict:
    (found,) = [each for each in judged(of) if each.target.figure.startswith(figure)]
    return found


def test_a_good_run_reaches_every_target() -> None:
    assert all(each.reached for each in judged(figures()))


@pytest.mark.parametrize(
    ("figure", "run", "change", "value"),
    [
        ("voice to voice, 1 caller", "1 caller", {"voice_to_voice_ms": {"p50": 301}}, 301),
        ("voice to voice, 50", "50 callers", {"voice_to_voice_ms": {"p50": 351}}, 351),
        ("barge-in, p50", "50 callers", {"barge_in_ms": {"p50": 121, "p95": 130}}, 121),
        ("barge-in, p95", "1 caller", {"barge_in_ms": {"p50": 90, "p95": 151}}, 151),
        ("CPU", "50 callers", {"cpu_s_per_session_minute": 0.91}, 0.91),
        ("gaps", "50 callers", {"gaps_over_60_ms": 1}, 1),
        ("holes", "1 % loss", {"holes_over_60_ms": 2}, 2),
        ("turns missed", "20 % loss", {"missed": 1}, 1),
        ("memory", "50 callers", {"resident_mb": 201.5 + 49 * 3.1}, 3.1),
    ],
)
def test_each_figure_that_is_worse_than_promised_is_told(
    figure: str, run: str, change: dict[str, Any], value: float
) -> None:
    of = figures(**{run: change})
    assert verdict(figure, of).value == value
    assert [each.target.figure for each in judged(of) if not each.reached] == [verdict(figure, of).target.figure]


def test_a_lost_packet_may_cost_20_ms() -> None:
    def after(late_ms: float) -> bool | None:
        turns = {str(turn): {"p50": 280 + (late_ms if turn > 2 else 0)} for turn in range(6)}
        return verdict("slower", figures(**{PACKET_LOST: {"voice_to_voice_by_turn_ms": turns}})).reached

    assert after(20)
    assert not after(21)


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    alone = {"1 caller": figures()["1 caller"]}
    assert verdict("voice to voice, 50", alone).reached is None
    assert verdict("slower", alone).reached is None
    assert "| memory per session | ≤ 3 MB | – | not measured |" in table(judged(alone))
    old = {"1 caller": {key: value for key, value in alone["1 caller"].items() if key != "holes_over_60_ms"}}
    assert verdict("holes", old).reached is None


def test_of_more_callers_than_promised_and_of_more_cores_nothing_is_judged() -> None:
    more = {"80 callers, 2 workers": measured(80, gaps_over_60_ms=9), "50 callers, 2 workers": measured(50, missed=3)}
    assert judged(figures() | more) == judged(more | figures()) == judged(figures())
    only = {"50 callers, 2 workers": measured(50, voice_to_voice_ms={"p50": 360})}
    assert verdict("voice to voice, 50", only).value == 360, "where there is no other"


def test_the_table_says_yes_and_no() -> None:
    lines = table(judged(figures(**{"50 callers": {"gaps_over_60_ms": 3}}))).splitlines()
    assert "| voice to voice, 1 caller, p50 | ≤ 300 ms | 280 ms | yes |" in lines
    assert "| gaps over 60 ms | none | 3 | no |" in lines
