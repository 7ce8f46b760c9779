"""The table and the chart that are made of the figures of several servers."""

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import chart
from benchmarks.comparison import markdown, memory_per_session, rows, slower_after_lost_packet


def measured(**changes: Any) -> dict[str, Any]:
    """A result of the load client."""
    return {
        "callers": 1,
        "missed": 0,
        "voice_to_voice_ms": {"p50": 300, "p95": 340},
        "voice_to_voice_by_turn_ms": {},
        "barge_in_ms": {"p50": 90, "p95": 110},
        "callers_without_gaps": 1,
        "cpu_s_per_session_minute": 1.5,
        "resident_mb": 100.0,
    } | changes


def by_turn(*values: float) -> dict[str, Any]:
    return measured(voice_to_voice_by_turn_ms={str(turn): {"p50": value} for turn, value in enumerate(values)})


FIGURES: dict[str, Any] = {
    "conversation": {"GoAssist": measured(), "other": measured(voice_to_voice_ms={"p50": 600, "p95": 700})},
    "packet": {"GoAssist": by_turn(280, 290, 285, 286, 284, 288), "other": by_turn(600, 610, 605, 830, 840, 835)},
    "callers": {
        "GoAssist": {
            "3": measured(callers=3, callers_without_gaps=3, resident_mb=102.0),
            "10": measured(callers=10, callers_without_gaps=9, resident_mb=109.0),
        },
        "other": {"3": measured(callers=3, callers_without_gaps=1), "10": {"failed": "it was not done after 240 s"}},
    },
}


def values(name: str) -> tuple[float | None, ...]:
    (row,) = [row for row in rows(FIGURES) if row.name == name]
    return row.values


def test_every_server_has_a_column_and_the_others_are_multiples_of_the_first() -> None:
    (row,) = [row for row in rows(FIGURES) if row.name == "voice to voice, 1 caller"]

    assert row.values == (300, 600)
    assert row.ratios() == (2.0,)
    assert "| voice to voice, 1 caller | 300 ms | 600 ms | 2 × |" in markdown(FIGURES)


def test_what_one_lost_packet_costs_is_the_difference_between_the_turns_before_and_after() -> None:
    assert slower_after_lost_packet(by_turn(600, 610, 605, 830, 840, 835)) == 230
    assert values("slower after one lost packet") == (1, 230)


def test_without_turns_after_the_lost_packet_its_cost_is_unknown() -> None:
    assert slower_after_lost_packet(by_turn(600, 610)) is None


def test_memory_of_a_session_is_what_the_further_ones_take_up_to_the_most_that_were_carried() -> None:
    overloaded = measured(callers=3, callers_without_gaps=1, resident_mb=900.0)

    assert (
        memory_per_session({"1": measured(), "3": measured(callers=3, callers_without_gaps=2, resident_mb=102.0)}) == 1
    )
    assert memory_per_session({"1": measured(), "3": overloaded}) is None, "a backlog is no session's memory"
    assert values("memory per session") == (1.0, None)


def test_a_measurement_that_failed_is_shown_as_a_dash() -> None:
    assert values("sessions without gaps, of 10") == (9, None)
    assert "| sessions without gaps, of 10 | 9 | – | – |" in markdown(FIGURES)


def test_figures_that_were_not_taken_have_no_row() -> None:
    assert [row.name for row in rows({"packet": FIGURES["packet"]})] == ["slower after one lost packet"]
    assert rows({}) == []


def test_the_chart_is_well_formed_and_its_bars_are_in_proportion() -> None:
    image = ElementTree.fromstring(chart.svg(FIGURES, "a note with <signs>"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    ours, theirs = (
        float(image.findall(f".//svg:rect[@class='s{index}']", space)[0].get("width", "")) for index in (0, 1)
    )

    assert theirs == pytest.approx(2 * ours, rel=0.01)
    assert "a note with <signs>" in [text.text for text in image.iterfind(".//svg:text", space)]
