"""The whole agent over bad networks and with unusual clients: it goes on, hears, answers, and does not grow slower.

All calls run at once on one server, so that they take no longer than one. Turns end after a fixed silence: what the
end-of-turn model thinks of a voice, and learns about it, is no matter of the network.
"""

import asyncio
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.conditions import CONDITIONS, NOTHING, Condition
from benchmarks.network import Outcome, Plan, outcome
from benchmarks.rough_caller import Form, call, hang_up
from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.serving import Served, serve
from tests.end_to_end.stack import eventually
from tests.servers.triton import RunningTriton

QUESTION = AUDIO / "what_time_is_it.wav"
# As long as a clock that is off by 2 % drifts as far as one that is off by 500 ppm does in 8 minutes.
PLAN = Plan(turns=3, trouble_s=12.0, listen_s=0.0)
SLOWER_S = 0.2  # that a turn may be; clocks that drift and are not followed would add more
ROUNDS = 2


@dataclass(frozen=True)
class Usage:
    """What the server holds while nobody calls."""

    files: int
    resident_mb: float


@dataclass(frozen=True)
class Results:
    outcomes: dict[str, Outcome | BaseException]
    idle: list[Usage]  # before the first round of calls, and after each


async def one(http: httpx.AsyncClient, url: str, number: int, condition: Condition, plan: Plan = PLAN) -> Outcome:
    """A call of a client that has its form from the start, and is the plain one after the trouble."""
    await asyncio.sleep(0.15 * number)  # people don't speak in step
    caller, sending = await call(http, url, QUESTION, condition.form)
    try:
        await asyncio.sleep(0.5)
        return await outcome(caller, sending, condition, plan)
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
        await one(http, served.url, 0, CONDITIONS[NOTHING], Plan(1, 0, 0))  # what is made once is made now
        idle = [await nobody_calls(served)]
        calls = [one(http, served.url, index, condition) for index, condition in enumerate(CONDITIONS.values())]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        idle.append(await nobody_calls(served))
        for _ in range(ROUNDS):
            await asyncio.gather(
                *[visit(http, served.url, index, each.form) for index, each in enumerate(CONDITIONS.values())]
            )
            idle.append(await nobody_calls(served))
    return Results(dict(zip(CONDITIONS, outcomes, strict=True)), idle)


@pytest.fixture(scope="module")
def results(stand_ins: RunningTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder: Path = tmp_path_factory.mktemp("network")
    with serve(stand_ins.grpc_url, folder, TURN_DETECTION="server_vad") as served:
        yield asyncio.run(all_at_once(served))


def slower_s(usual_s: float) -> float:
    """How much later than usual a turn may be: by more where the machine is slow."""
    return max(SLOWER_S, usual_s / 2)


@pytest.mark.parametrize("case", CONDITIONS)
def test_sound_goes_on_every_turn_is_answered_and_delay_does_not_grow(results: Results, case: str) -> None:
    told = results.outcomes[case]
    if isinstance(told, BaseException):
        raise told
    # A machine that is busy with others delays all of the calls, and each of them now and then: what counts is whether
    # the fastest turn of this one stands out. A delay that has grown is in all of them.
    answered = [each for each in results.outcomes.values() if isinstance(each, Outcome)]
    for phase, turns in told.phases.items():
        assert turns.missed == 0, (phase, told)
        usual_s = statistics.median(min(each.phases[phase].took_s) for each in answered)
        assert min(turns.took_s) < usual_s + slower_s(usual_s), (phase, told, usual_s)
    assert told.missing < statistics.median(each.missing for each in answered) + 0.05


def test_nothing_is_left_of_calls_that_are_over(results: Results) -> None:
    before, *after = results.idle
    assert all(usage.files <= before.files for usage in after), results.idle
    first, *_, last = after
    assert last.resident_mb < first.resident_mb + 8, "memory grows with the number of calls at once, not with all ever"
