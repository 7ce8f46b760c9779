"""What sessions tell is counted."""

import asyncio
import re

import pytest

from orchestrator import notifications as told
from orchestrator.telemetry.metrics import Metrics


def value(metrics: Metrics, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    assert found, f"no {sample}"
    return float(found[1])


def test_a_turns_stages_are_counted_where_they_happened() -> None:
    metrics = Metrics()
    metrics.observe(told.TurnMetrics(1, "resp_1", 200.0, None, 30.0, 20.0, 60.0, 260.0, False))
    assert value(metrics, "goassist_voice_to_voice_seconds_sum") == 0.26
    assert value(metrics, 'goassist_voice_to_voice_seconds_bucket{le="0.25"}') == 0
    assert value(metrics, 'goassist_voice_to_voice_seconds_bucket{le="0.3"}') == 1
    assert value(metrics, "goassist_transcript_seconds_count") == 0


def test_outcomes_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.observe(told.TranscriptCompleted("item", "hello", 1.0))
    metrics.observe(told.ResponseFinished("resp", "item", "cancelled", "", 1, 1, "turn_detected"))
    metrics.observe(told.InterruptionJudged(2, True, 120))
    metrics.observe(told.InterruptionJudged(3, False, 300))
    metrics.observe(told.SpeculationDropped(4, 40, 1.5))
    metrics.observe(told.Failed("backend_unavailable", "Triton was lost", "server_error"))
    assert value(metrics, "goassist_turns_total") == 1
    assert value(metrics, 'goassist_responses_total{status="cancelled"}') == 1
    assert value(metrics, 'goassist_interruptions_total{verdict="confirmed"}') == 1
    assert value(metrics, 'goassist_interruptions_total{verdict="rejected"}') == 1
    assert value(metrics, "goassist_barge_in_seconds_sum") == 0.12
    assert value(metrics, "goassist_speculation_wasted_audio_seconds_total") == 1.5
    assert value(metrics, "goassist_speculation_wasted_tokens_total") == 40
    assert value(metrics, 'goassist_errors_total{code="backend_unavailable"}') == 1


async def test_the_loops_lag_is_measured() -> None:
    metrics = Metrics()
    noted: list[float] = []
    twice = asyncio.Event()

    def note(lag_s: float) -> None:
        noted.append(lag_s)
        if len(noted) == 2:
            twice.set()

    measuring = asyncio.create_task(metrics.measure_loop_lag(note))
    try:
        await asyncio.wait_for(twice.wait(), 5)
    finally:
        measuring.cancel()
    assert min(noted) >= 0, "who admits calls is told"
    assert value(metrics, "goassist_event_loop_lag_seconds_count") == len(noted)
    assert value(metrics, "goassist_event_loop_lag_seconds_sum") == pytest.approx(sum(noted))


def test_two_applications_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.error("x")
    assert value(one, 'goassist_errors_total{code="x"}') == 1
    assert 'code="x"' not in two.exposition().decode()
