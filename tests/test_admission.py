"""Calls are refused by measured lateness, before those that run suffer."""

import time

import httpx
import pytest

from orchestrator.admission import WINDOW_S, Admission
from orchestrator.errors import CapacityError
from orchestrator.webrtc.ticker import Lateness
from tests.servers.orchestrator import run_orchestrator
from tests.servers.triton import RunningTriton


def admission(now: list[float], frames: list[Lateness]) -> Admission:
    return Admission(0.04, lateness=lambda: frames[0], clock=lambda: now[0])


def test_late_frames_refuse_the_next_call_and_say_when_to_try_again() -> None:
    frames = [Lateness(0.03, 0.2)]
    calls = admission([0.0], frames)
    calls.check(active=5)
    frames[0] = Lateness(0.05, 0.2)
    with pytest.raises(CapacityError, match="50 ms late") as caught:
        calls.check(active=5)
    assert caught.value.retry_after_s > 0


def test_the_first_call_is_taken_however_late_the_process_was() -> None:
    admission([0.0], [Lateness(1.0, 1.0)]).check(active=0)


def test_a_lagging_event_loop_refuses_until_the_window_has_passed_and_one_stall_does_not() -> None:
    now = [0.0]
    calls = admission(now, [Lateness(0.0, 0.0)])
    for number in range(40):
        calls.note_lag(0.5 if number == 7 else 0.001)
    calls.check(active=1)
    for _ in range(10):
        calls.note_lag(0.1)
    with pytest.raises(CapacityError):
        calls.check(active=1)
    now[0] = WINDOW_S + 1
    calls.check(active=1)


async def test_a_process_whose_loop_is_held_up_answers_503_and_recovers(triton: RunningTriton) -> None:
    async with (
        run_orchestrator(triton_url=triton.grpc_url, max_frame_lateness_ms=40) as running,
        httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as client,
    ):
        assert (await client.post("/sessions", json={})).status_code == 200
        time.sleep(1.5)  # noqa: ASYNC251 - what a full process does to its frames
        await client.get("/livez")
        refused = await client.post("/sessions", json={})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "ms late" in refused.json()["error"]["message"]
        metrics = (await client.get("/metrics")).text
        assert 'goassist_sessions_rejected_total{reason="late"} 1.0' in metrics
        for session in (await client.get("/sessions")).json()["sessions"]:
            assert (await client.delete(f"/sessions/{session['session_id']}")).status_code == 200
        assert (await client.post("/sessions", json={})).status_code == 200
