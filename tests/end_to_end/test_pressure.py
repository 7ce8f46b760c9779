"""Under pressure the server says so, does without what it can, and takes no further call; sound goes on."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.rough_caller import RoughCaller, call, hang_up
from orchestrator.webrtc.ticker import CATCH_UP_PERIODS, PERIOD_S
from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.serving import Served, serve
from tests.end_to_end.stack import eventually
from tests.servers.triton import RunningTriton

QUESTION = AUDIO / "what_time_is_it.wav"
LIMIT_S = 0.15
# Longer than the limit, and shorter than what the ticker catches up with.
STALL_S, EVERY_S = 0.18, 0.7
ARRIVING = 20
# By far: what a busy machine delays counts as pressure, too, and 10 s of calm end it.
CALM_TIMEOUT_S = 150.0

pytestmark = pytest.mark.timeout(400)


@dataclass
class Stops:
    """How long the process really stood still, each time: whoever lets it go on may be late himself."""

    lengths_s: list[float] = field(default_factory=list)

    def frames_skipped(self) -> float:
        """At most so many periods were longer ago than what the ticker catches up with."""
        beyond_s = (length_s - CATCH_UP_PERIODS * PERIOD_S for length_s in self.lengths_s)
        return sum(each_s / PERIOD_S + 1 for each_s in beyond_s if each_s > 0)


@asynccontextmanager
async def stalls(pid: int) -> AsyncIterator[Stops]:
    """Another process takes the processor away again and again: what the kernel does to one that must wait."""
    stops = Stops()

    async def stall() -> None:
        while True:
            os.kill(pid, signal.SIGSTOP)
            stopped = time.monotonic()
            try:
                await asyncio.sleep(STALL_S)
            finally:
                os.kill(pid, signal.SIGCONT)
                stops.lengths_s.append(time.monotonic() - stopped)
            await asyncio.sleep(EVERY_S - STALL_S)

    stalling = asyncio.create_task(stall())
    try:
        yield stops
    finally:
        stalling.cancel()
        with suppress(asyncio.CancelledError):
            await stalling


class Events:
    """What comes on a caller's data channel."""

    def __init__(self, caller: RoughCaller) -> None:
        self.received: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        caller.channel.on("message", self._receive)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]

    @property
    def level(self) -> str:
        told = self.of("goassist.degraded")
        return str(told[-1]["level"]) if told else "normal"

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(CALM_TIMEOUT_S):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def speculative(self, asking: Awaitable[object]) -> bool:
        """Whether the answer to what is asked was prepared in the pause before."""
        before = len(self.of("goassist.metrics"))
        await asking
        await self.until(lambda: len(self.of("goassist.metrics")) > before)
        return bool(self.of("goassist.metrics")[before]["speculative"])

    def _receive(self, text: str) -> None:
        self.received.append(json.loads(text))
        self._came.set()


@pytest.fixture
def served(stand_ins: RunningTriton, tmp_path: Path) -> Iterator[Served]:
    with serve(stand_ins.grpc_url, tmp_path, MAX_FRAME_LATENESS_MS=str(LIMIT_S * 1000)) as running:
        yield running


async def admitted(http: httpx.AsyncClient, served: Served) -> tuple[RoughCaller, asyncio.Task[None]]:
    """A call once the server takes one: a busy machine may have put it under pressure."""
    async with asyncio.timeout(CALM_TIMEOUT_S):
        while True:
            try:
                return await call(http, served.url, QUESTION)
            except httpx.HTTPStatusError as refused:
                if refused.response.status_code != 503:
                    raise
            await asyncio.sleep(1)


async def test_the_next_call_is_refused_and_this_one_gets_every_frame(served: Served) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        caller, sending = await admitted(http, served)
        events = Events(caller)
        async with stalls(served.process.pid) as stops:
            await events.until(lambda: events.level == "session_reject")
            began = time.monotonic()
            with pytest.raises(httpx.HTTPStatusError) as refused:
                await call(http, served.url, QUESTION)
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) > 0
            await eventually(lambda: served.metric("goassist_pressure_level") == 5, 40)
            assert not await events.speculative(caller.ask())
            await asyncio.sleep(3)
            assert events.of("goassist.degraded")[-1]["effect"].endswith("new calls are refused.")
        heard = len(caller.heard)
        await eventually(lambda: len(caller.heard) > heard + 5, 30)  # what the last stall held back came before these
        until = time.monotonic()
        skipped = stops.frames_skipped() * PERIOD_S / (until - began)
        assert caller.frames_missing(began, until) < 0.03 + skipped, f"late, but all of them: {stops}"
        await caller.silence_agent()
        await events.until(lambda: events.level == "normal")
        await eventually(lambda: served.metric("goassist_pressure_level") == 0, CALM_TIMEOUT_S)
        another, also_sending = await admitted(http, served)
        await hang_up(another, also_sending)
        for _ in range(5):
            level, changes = events.level, len(events.of("goassist.degraded"))
            speculative = await events.speculative(caller.ask())
            if len(events.of("goassist.degraded")) == changes:  # where it changes meanwhile, either is right
                assert speculative is (level == "normal")
                break
            await caller.silence_agent()
        await hang_up(caller, sending)


async def test_calls_that_arrive_at_once_do_not_delay_the_frames_of_those_there_are(
    stand_ins: RunningTriton, tmp_path: Path
) -> None:
    for _ in range(3):  # others of a busy machine delay frames as well
        late, missing = await delayed_by_arrivals(stand_ins, tmp_path)
        if late < 1 / 5 and missing < 0.25:
            break
    assert late < 1 / 5, "a frame waits for one or two of them, not for all"
    assert missing < 0.25


async def delayed_by_arrivals(stand_ins: RunningTriton, folder: Path) -> tuple[float, float]:
    """While calls arrive at once: the longest delay of a frame as a part of that time, and the frames missing."""
    with serve(stand_ins.grpc_url, folder) as served:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            caller, sending = await call(http, served.url, QUESTION)
            await caller.ask()
            began = time.monotonic()
            arrived = await asyncio.gather(*[call(http, served.url, QUESTION) for _ in range(ARRIVING)])
            took_s = time.monotonic() - began
            page = (await http.get(f"{served.url}/metrics")).text
            missing = caller.frames_missing(began, time.monotonic())
            (late_s,) = re.findall(r'^goassist_frame_lateness_seconds\{quantile="1"\} (\S+)$', page, re.MULTILINE)
            for each, task in [*arrived, (caller, sending)]:
                await hang_up(each, task)
    return float(late_s) / took_s, missing
