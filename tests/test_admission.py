"""Calls are refused by measured lateness, before those that run suffer."""

import asyncio
import time

import httpx
import pytest

from orchestrator.admission import MAX_WAITING, RELEASED_PER_S, WINDOW_S, Admission
from orchestrator.core.pressure import Level
from orchestrator.errors import CapacityError
from orchestrator.webrtc.ticker import Lateness
from tests.servers.orchestrator import run_orchestrator
from tests.servers.triton import RunningTriton


def admission(now: list[float], frames: list[Lateness], *, active: int = 5) -> Admission:
    return Admission(0.04, lateness=lambda _: frames[0], active=lambda: active, clock=lambda: now[0])


def test_late_frames_refuse_the_next_call_and_say_when_to_try_again() -> None:
    frames = [Lateness(0.03, 0.2)]
    calls = admission([0.0], frames)
    calls.check()
    frames[0] = Lateness(0.05, 0.2)
    with pytest.raises(CapacityError, match=r"overloaded: audio is 50 ms late \(limit 40 ms\); retry in 5 s") as caught:
        calls.check()
    assert caught.value.retry_after_s > 0


def test_the_first_call_is_taken_however_late_the_process_was() -> None:
    late = [Lateness(1.0, 1.0)]
    admission([0.0], late, active=0).check()
    assert not admission([0.0], late, active=0).refuses()
    assert admission([0.0], late, active=1).refuses()


def test_a_lagging_event_loop_refuses_until_the_window_has_passed_and_one_stall_does_not() -> None:
    now = [0.0]
    calls = admission(now, [Lateness(0.0, 0.0)])
    for number in range(40):
        calls.note_lag(0.5 if number == 7 else 0.001)
    calls.check()
    for _ in range(10):
        calls.note_lag(0.1)
    with pytest.raises(CapacityError):
        calls.check()
    now[0] = WINDOW_S + 1
    calls.check()


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


class Lagging:
    """An event loop that is late as told, four times a second."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.active = 3
        self.levels: list[Level] = []
        self.admission = Admission(
            0.1,
            lateness=lambda _: Lateness(0.0, 0.0),
            active=lambda: self.active,
            changed=lambda level, _: self.levels.append(level),
            clock=lambda: self.now_s,
        )

    def seconds(self, count: int, lag_s: float) -> None:
        for _ in range(4 * count):
            self.now_s += 0.25
            self.admission.note_lag(lag_s)

    async def call(self) -> None:
        """As a request does it."""
        await self.admission.turn()
        self.admission.check()
        self.active += 1

    async def calls(self, count: int) -> list[asyncio.Task[None]]:
        """So many that wait."""
        waiting = [asyncio.create_task(self.call()) for _ in range(count)]
        await asyncio.sleep(0)
        assert not any(call.done() for call in waiting)
        return waiting


def test_the_level_rises_with_the_lag_falls_after_it_and_each_change_is_told() -> None:
    process = Lagging()
    process.seconds(5, 0.06)
    assert process.levels == [Level.VERBOSITY_REDUCE]
    process.admission.check()
    process.seconds(5, 0.2)
    with pytest.raises(CapacityError):
        process.admission.check()
    process.seconds(30, 0.0)
    assert process.levels == [Level.VERBOSITY_REDUCE, Level.SESSION_REJECT, Level.NORMAL]
    process.admission.check()


async def test_a_call_that_comes_before_all_is_calm_waits_and_is_taken() -> None:
    process = Lagging()
    process.seconds(5, 0.09)
    assert process.admission.level is Level.SESSION_QUEUE
    process.active = 0
    await process.admission.turn()  # the first never waits
    process.active = 3
    waiting = asyncio.create_task(process.admission.turn())
    await asyncio.sleep(0)
    assert not waiting.done()
    process.seconds(30, 0.0)
    await asyncio.wait_for(waiting, 1)


async def settled() -> None:
    """Whoever may go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def admitted(calls: list[asyncio.Task[None]]) -> list[bool]:
    return [call.done() and call.exception() is None for call in calls]


async def test_when_calm_returns_those_who_waited_are_taken_a_few_a_second_in_their_order() -> None:
    process = Lagging()
    process.seconds(5, 0.09)
    waiting = await process.calls(6)
    while process.admission.level is Level.SESSION_QUEUE:
        process.seconds(1, 0.0)
    for second in (1, 2):
        await settled()
        assert admitted(waiting) == [number < second * RELEASED_PER_S for number in range(6)]
        process.seconds(1, 0.0)
    process.seconds(2, 0.0)
    await asyncio.gather(*waiting)


async def test_when_the_pressure_returns_those_who_wait_still_go_on_waiting() -> None:
    process = Lagging()
    process.seconds(5, 0.09)
    waiting = await process.calls(12)
    while process.admission.level is Level.SESSION_QUEUE:
        process.seconds(1, 0.0)
    process.seconds(3, 0.09)
    assert process.admission.level is Level.SESSION_QUEUE
    await settled()
    taken = admitted(waiting)
    process.seconds(3, 0.09)
    await settled()
    assert admitted(waiting) == taken
    assert not all(taken)
    process.seconds(30, 0.0)
    await asyncio.gather(*waiting)


async def test_when_calls_are_refused_those_who_wait_are_too_at_once() -> None:
    process = Lagging()
    process.seconds(5, 0.09)
    waiting = await process.calls(6)
    while process.admission.level is Level.SESSION_QUEUE:
        process.seconds(1, 0.3)
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert all(isinstance(outcome, CapacityError) for outcome in outcomes)


async def test_where_every_other_call_has_ended_one_who_waited_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Lagging()
    process.seconds(5, 0.09)
    waiting = await process.calls(3)
    process.active = 0
    process.seconds(1, 0.09)
    await settled()
    assert admitted(waiting) == [True, False, False], "at the next second, and then it is not the first any more"

    monkeypatch.setattr("orchestrator.admission.WAIT_S", 0.05)
    waiting += await process.calls(3)
    process.active = 0
    outcomes = await asyncio.gather(*waiting[3:], return_exceptions=True)
    assert [isinstance(outcome, CapacityError) for outcome in outcomes] == [False, True, True]
    for call in waiting[1:3]:
        call.cancel()


def test_where_the_models_are_slow_no_lateness_is_claimed() -> None:
    process = Lagging()
    for _ in range(20):
        process.admission.note_model_delay(20.0)
    process.seconds(2, 0.0)
    assert process.admission.level is Level.SESSION_REJECT
    with pytest.raises(CapacityError, match=r"^the server is overloaded; retry in 5 s$"):
        process.admission.check()


async def test_no_more_calls_wait_than_can_be_held_and_none_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.admission.WAIT_S", 0.05)
    process = Lagging()
    process.seconds(5, 0.09)
    waiting = [asyncio.create_task(process.admission.turn()) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(CapacityError) as refused:
        await process.admission.turn()
    assert refused.value.retry_after_s > 0
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, CapacityError) for outcome in outcomes)
