"""Calls over two workers behind one port."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.rough_caller import RoughCaller, call, hang_up
from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.serving import Served, serve
from tests.end_to_end.stack import eventually
from tests.servers.triton import RunningTriton

QUESTION = AUDIO / "what_time_is_it.wav"
SOON_S = 6.0  # the stand-ins answer after 0.3 s; the machine may be busy with others


@pytest.fixture
def served(stand_ins: RunningTriton, tmp_path: Path) -> Iterator[Served]:
    with serve(stand_ins.grpc_url, tmp_path, WORKERS="2", MAX_CONCURRENT_SESSIONS="5") as running:
        yield running


@asynccontextmanager
async def calls(served: Served, number: int) -> AsyncIterator[list[RoughCaller]]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http, AsyncExitStack() as stack:
        begun = []
        for _ in range(number):
            caller, sending = await call(http, served.url, QUESTION)
            stack.push_async_callback(hang_up, caller, sending)
            begun.append(caller)
        yield begun


def worker_of(caller: RoughCaller) -> str:
    return caller.call_id.split("_")[1]


async def test_calls_land_on_both_workers_and_are_known_to_either(served: Served) -> None:
    async with (
        calls(served, 4) as callers,
        httpx.AsyncClient(trust_env=False, base_url=served.url, timeout=20) as http,
    ):
        assert sorted(map(worker_of, callers)) == ["w0", "w0", "w1", "w1"]
        listed = (await http.get("/sessions")).json()
        assert {each["session_id"] for each in listed["sessions"]} == {caller.call_id for caller in callers}
        assert (listed["active_count"], listed["available_slots"]) == (4, 1)
        took = await asyncio.gather(*[caller.converse(1) for caller in callers])
        assert 0 < min(map(min, took)) <= max(map(max, took)) < SOON_S, took
        assert served.metric("goassist_sessions_active") == 4
        assert served.metric("goassist_turns_total") >= 4
        resident = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in served.workers()]
        assert served.metric("process_resident_memory_bytes") == pytest.approx(sum(resident), rel=0.1)
    assert served.metric("goassist_sessions_active") == 0, "either worker hangs up for the other"


async def test_a_caller_is_refused_only_when_all_workers_are_full(served: Served) -> None:
    async with calls(served, 5) as callers, httpx.AsyncClient(trust_env=False, timeout=20) as http:
        assert {worker_of(caller) for caller in callers} == {"w0", "w1"}
        for _ in range(4):  # each connection reaches a worker by chance
            with pytest.raises(httpx.HTTPStatusError) as refused:
                await call(http, served.url, QUESTION)
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) > 0


async def test_a_worker_that_is_killed_loses_its_calls_only_and_comes_back(served: Served) -> None:
    known: set[str] = set()

    def there() -> set[str] | None:
        """None where the connection reached the worker that has just died."""
        try:
            listed = httpx.get(f"{served.url}/sessions", trust_env=False, timeout=20).json()
        except httpx.TransportError:
            return None
        return {each["session_id"] for each in listed["sessions"]}

    def one_left() -> bool:
        nonlocal known
        known = there() or set()
        return len(known) == 1

    def ready() -> bool:
        try:
            return httpx.get(f"{served.url}/readyz", trust_env=False, timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    async with calls(served, 2) as callers:
        assert {worker_of(caller) for caller in callers} == {"w0", "w1"}
        before = served.workers()
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        await eventually(one_left, 30)
        (left,) = [caller for caller in callers if caller.call_id in known]
        assert max(await left.converse(2)) < SOON_S, "the other worker's call goes on"
        await eventually(lambda: len(after := served.workers()) == 2 and set(after) != set(before), 60)
        await eventually(ready, 60)
        async with calls(served, 3) as further:
            # With the one that is left: where both have as many calls, either may take the next.
            assert sorted(map(worker_of, [left, *further])) == ["w0", "w0", "w1", "w1"]
            took = await asyncio.gather(*[caller.converse(1) for caller in further])
            assert max(map(max, took)) < SOON_S, took
