"""The whole agent over bad networks and with unusual clients: it goes on, hears, answers, and does not grow slower.

All calls run at once on one server, so that they take no longer than one. Turns end after a fixed silence: what the
end-of-turn model thinks of a voice, and learns about it, is no matter of the network.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.rough_caller import Fate, Form, RoughCaller, Send, call, hang_up
from tests.end_to_end.serving import Served, serve
from tests.end_to_end.stack import eventually
from tests.servers.triton import RunningTriton

QUESTION = AUDIO / "what_time_is_it.wav"
ROUGH_S = 6.0  # how long each trouble lasts before the next question
SLOWER_S = 0.2  # that a turn may be; clocks that drift and are not followed would add more
ROUNDS = 2


def lossy(caller: RoughCaller) -> Fate:
    """Every fifth packet is lost."""

    def fate(packet: bytes, send: Send) -> None:
        if caller.chance.random() >= 0.2:
            send(packet)

    return fate


def reordering(caller: RoughCaller) -> Fate:
    """Every fifth packet is overtaken by the next."""
    held: list[bytes] = []

    def fate(packet: bytes, send: Send) -> None:
        if not held and caller.chance.random() < 0.2:
            held.append(packet)
            return
        send(packet)
        while held:
            send(held.pop())

    return fate


def doubling(caller: RoughCaller) -> Fate:
    """Every packet comes twice."""

    def fate(packet: bytes, send: Send) -> None:
        send(packet)
        send(packet)

    return fate


def delaying(caller: RoughCaller) -> Fate:
    """Every twentieth packet comes 150 ms late."""

    def fate(packet: bytes, send: Send) -> None:
        if caller.chance.random() < 0.05:
            asyncio.get_running_loop().call_later(0.15, send, packet)
        else:
            send(packet)

    return fate


def swallowing(caller: RoughCaller) -> Fate:
    return lambda packet, send: None


Trouble = Callable[[RoughCaller], Awaitable[None]]


def for_good(fate: Callable[[RoughCaller], Fate]) -> Trouble:
    async def trouble(caller: RoughCaller) -> None:
        caller.fate = fate(caller)
        await asyncio.sleep(ROUGH_S)

    return trouble


async def nothing(caller: RoughCaller) -> None:
    await asyncio.sleep(ROUGH_S)


async def stopped(caller: RoughCaller) -> None:
    """Nothing is sent for 5 s."""
    before, caller.fate = caller.fate, swallowing(caller)
    await asyncio.sleep(5)
    caller.fate = before
    await asyncio.sleep(ROUGH_S - 5)


async def renegotiated(caller: RoughCaller) -> None:
    for _ in range(3):
        assert await caller.offer_again() == 200
        await asyncio.sleep(ROUGH_S / 3)


async def restarting_ice(caller: RoughCaller) -> None:
    """It is refused, and what there is goes on."""
    assert await caller.offer_again(restart_ice=True) == 400
    await asyncio.sleep(ROUGH_S)


# A clock that is off by 2 % drifts in these 12 s as far as one that is off by 500 ppm does in 8 minutes.
CASES: dict[str, tuple[Form, Trouble]] = {
    "nothing wrong": (Form(), nothing),
    "20 % lost": (Form(), for_good(lossy)),
    "reordered": (Form(), for_good(reordering)),
    "duplicates": (Form(), for_good(doubling)),
    "late packets": (Form(), for_good(delaying)),
    "a sender that stops for 5 s": (Form(), stopped),
    "a fast clock": (Form(pace=0.98), nothing),
    "a slow clock": (Form(pace=1.02), nothing),
    "packets of 10 ms": (Form(duration_ms=10), nothing),
    "packets of 40 ms": (Form(duration_ms=40), nothing),
    "packets of 60 ms": (Form(duration_ms=60), nothing),
    "stereo": (Form(channels=2), nothing),
    "discontinuous transmission": (Form(discontinuous=True), nothing),
    "renegotiated": (Form(), renegotiated),
    "an ICE restart": (Form(), restarting_ice),
}


@dataclass(frozen=True)
class Outcome:
    """One call: voice to voice before and after the trouble, and the share of the agent's packets that never came."""

    before_s: list[float]
    after_s: list[float]
    missing: float


@dataclass(frozen=True)
class Usage:
    """What the server holds while nobody calls."""

    files: int
    resident_mb: float


@dataclass(frozen=True)
class Results:
    outcomes: dict[str, Outcome | BaseException]
    idle: list[Usage]  # before the first round of calls, and after each


async def one(http: httpx.AsyncClient, url: str, number: int, form: Form, trouble: Trouble) -> Outcome:
    await asyncio.sleep(0.15 * number)  # people don't speak in step
    caller, sending = await call(http, url, QUESTION, form)
    try:
        await asyncio.sleep(0.5)
        began = time.monotonic()
        before = await caller.converse(2)
        await trouble(caller)
        after = await caller.converse(3)
        assert not sending.done()
        return Outcome(before, after, caller.frames_missing(began, time.monotonic()))
    finally:
        await hang_up(caller, sending)


async def visit(http: httpx.AsyncClient, url: str, number: int, form: Form) -> None:
    """A call without a word."""
    await asyncio.sleep(0.15 * number)
    caller, sending = await call(http, url, QUESTION, form)
    await asyncio.sleep(1)
    await hang_up(caller, sending)


async def nobody_calls(served: Served) -> Usage:
    await eventually(lambda: not served.metric("goassist_sessions_active"), 10)
    seen: list[int] = []

    def settled() -> bool:
        """Sockets close in the background."""
        seen.append(served.open_files())
        return len(seen) > 2 and len(set(seen[-3:])) == 1

    await eventually(settled, 10)
    return Usage(seen[-1], served.metric("process_resident_memory_bytes") / 2**20)


async def all_at_once(served: Served) -> Results:
    limits = httpx.Limits(max_keepalive_connections=0)  # a connection that is kept is no leak
    async with httpx.AsyncClient(trust_env=False, timeout=20, limits=limits) as http:
        await one(http, served.url, 0, Form(), lambda _: asyncio.sleep(0))  # what is made once is made now
        idle = [await nobody_calls(served)]
        calls = [one(http, served.url, index, *case) for index, case in enumerate(CASES.values())]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        idle.append(await nobody_calls(served))
        for _ in range(ROUNDS):
            await asyncio.gather(
                *[visit(http, served.url, index, form) for index, (form, _) in enumerate(CASES.values())]
            )
            idle.append(await nobody_calls(served))
    return Results(dict(zip(CASES, outcomes, strict=True)), idle)


@pytest.fixture(scope="module")
def results(stand_ins: RunningTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder: Path = tmp_path_factory.mktemp("network")
    with serve(stand_ins.grpc_url, folder, TURN_DETECTION="server_vad") as served:
        yield asyncio.run(all_at_once(served))


def slower_s(usual_s: float) -> float:
    """How much later than usual a turn may be: by more where the machine is slow."""
    return max(SLOWER_S, usual_s / 2)


@pytest.mark.parametrize("case", CASES)
def test_sound_goes_on_every_turn_is_answered_and_delay_does_not_grow(results: Results, case: str) -> None:
    outcome = results.outcomes[case]
    if isinstance(outcome, BaseException):
        raise outcome
    # A machine that is busy with others delays all of the calls, and each of them now and then: what counts is whether
    # the fastest turn of this one stands out. A delay that has grown is in all of them.
    answered = [each for each in results.outcomes.values() if isinstance(each, Outcome)]
    usual_before = statistics.median(min(each.before_s) for each in answered)
    usual_after = statistics.median(min(each.after_s) for each in answered)
    assert min(outcome.before_s) < usual_before + slower_s(usual_before), (outcome, usual_before)
    assert min(outcome.after_s) < usual_after + slower_s(usual_after), (outcome, usual_after)
    assert outcome.missing < statistics.median(each.missing for each in answered) + 0.05


def test_nothing_is_left_of_calls_that_are_over(results: Results) -> None:
    before, *after = results.idle
    assert all(usage.files <= before.files for usage in after), results.idle
    first, *_, last = after
    assert last.resident_mb < first.resident_mb + 8, "memory grows with the number of calls at once, not with all ever"
