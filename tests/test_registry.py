"""The registry admits, holds and ends calls, and no call's trouble is another's."""

import asyncio
import logging

import pytest

from orchestrator.errors import CapacityError
from orchestrator.registry import Registry


class PlainCall:
    """A call without sound: it lasts until it is closed, or fails when it is told to."""

    transport = "test"

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.last_active_s = 0.0
        self.busy = False
        self.close_reason: str | None = None
        self.failure: Exception | None = None
        self._over = asyncio.Event()

    def close(self, reason: str) -> None:
        self.close_reason = self.close_reason or reason
        self._over.set()

    def expel(self, code: str, reason: str) -> None:
        self.close(f"{code}: {reason}")

    async def run(self) -> None:
        await self._over.wait()
        if self.failure:
            raise self.failure


def registry(
    max_sessions: int = 2, idle_timeout_s: float = 60.0, now: list[float] | None = None
) -> Registry[PlainCall]:
    times = now or [0.0]
    return Registry(max_sessions=max_sessions, idle_timeout_s=idle_timeout_s, clock=lambda: times[0])


async def test_calls_are_admitted_up_to_the_limit_and_again_when_one_has_ended() -> None:
    calls = registry(max_sessions=1)
    calls.check_capacity()
    calls.start(PlainCall("a"))
    with pytest.raises(CapacityError) as caught:
        calls.check_capacity()
    assert caught.value.retry_after_s > 0
    await calls.end("a", "done")
    calls.check_capacity()
    assert calls.get("a") is None
    assert len(calls) == 0


async def test_an_ended_call_says_why_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    calls = registry()
    with caplog.at_level(logging.INFO):
        calls.start(PlainCall("a"))
        await calls.end("a", "The client hung up.")
    ended = caplog.records[-1]
    assert (ended.message, ended.session, ended.reason) == ("session ended", "a", "The client hung up.")  # type: ignore[attr-defined]


async def test_a_call_that_fails_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    calls = registry()
    failing, other = PlainCall("a"), PlainCall("b")
    calls.start(failing)
    calls.start(other)
    failing.failure = RuntimeError("a bug")
    await calls.end("a", "now")
    assert [call.id for call in calls] == ["b"]
    assert any(record.exc_info and "a bug" in str(record.exc_info[1]) for record in caplog.records)
    await calls.drain(0)


async def test_a_call_in_which_nothing_happens_is_ended() -> None:
    now = [0.0]
    calls = registry(idle_timeout_s=0.05, now=now)
    call = PlainCall("a")
    calls.start(call)
    now[0] = 1.0
    async with asyncio.timeout(5):
        await calls.ended("a")
    assert call.close_reason is not None
    assert "Nothing was said" in call.close_reason


async def test_a_busy_call_is_not_idle() -> None:
    now = [0.0]
    calls = registry(idle_timeout_s=0.02, now=now)
    call = PlainCall("a")
    call.busy = True
    calls.start(call)
    now[0] = 1.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await calls.ended("a")
    call.busy = False
    async with asyncio.timeout(5):
        await calls.ended("a")


async def test_a_word_begins_the_idle_time_anew() -> None:
    now = [0.0]
    calls = registry(idle_timeout_s=0.05, now=now)
    call = PlainCall("a")
    calls.start(call)
    now[0] = call.last_active_s = 1.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await calls.ended("a")
    await calls.drain(0)


async def test_draining_takes_no_more_calls_and_waits_for_those_that_are() -> None:
    calls = registry()
    call = PlainCall("a")
    calls.start(call)
    draining = asyncio.create_task(calls.drain(5.0))
    await asyncio.sleep(0)
    assert calls.draining
    with pytest.raises(CapacityError, match="shutting down"):
        calls.check_capacity()
    assert call.close_reason is None
    call.close("The client hung up.")
    async with asyncio.timeout(1):
        await draining


async def test_draining_closes_what_is_left_when_its_time_is_over() -> None:
    calls = registry()
    call = PlainCall("a")
    calls.start(call)
    await calls.drain(0.01)
    assert call.close_reason == "server_shutdown: The server is shutting down."
    assert len(calls) == 0
