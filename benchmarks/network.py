"""Calls over bad networks and from unusual clients, from outside: `make bench-network`. Takes about three minutes.

    python -m benchmarks.network [--only loss slow] [--seconds 100] [--turns 4] [--json FILE] [--check]

A caller for each condition, and one with nothing wrong beside them, all at the same time on one server, which is
pinned to one core. Each asks a few times, then has its trouble for so many seconds and asks on all the while, then a
few times without it. Measured at the RTP packets, as in load.py; the server's memory and open files come from its
/metrics, before and after, while nobody calls. Prints tables; standard error tells how far it is. With `--check` the
exit status is 1 where a target was not reached.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.conditions import CONDITIONS, NOTHING, Condition
from benchmarks.load import QUESTION, milliseconds, usage
from benchmarks.machine import machine
from benchmarks.network_report import AFTER, AGAIN, BEFORE, TARGETS, report
from benchmarks.rough_caller import CallError, Form, RoughCaller, Turns, call, hang_up, voice
from benchmarks.servers import MeasurementError, end_servers_when_told, goassist, other_cores, running, settle
from benchmarks.targets import judged

STAGGER_S = 0.3  # between two callers' first questions: people don't speak in step
LISTEN_S = 1.5  # to each answer
PROGRESS_S = 10.0
SETTLE_S, SETTLE_TIMEOUT_S = 0.5, 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many turns there are without trouble, before it and after it, and how long it lasts."""

    turns: int
    trouble_s: float
    listen_s: float = LISTEN_S


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call: its turns before, in and after the trouble, and what the caller heard of the agent's sound."""

    before: Turns
    during: Turns
    after: Turns
    gaps: int
    holes: int
    missing: float  # share of the agent's packets
    late_s: float  # the caller itself, at worst

    @property
    def phases(self) -> dict[str, Turns]:
        """By name, in order."""
        return {"before": self.before, "during": self.during, "after": self.after}

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        phases = self.phases.values()
        return {
            "voice_to_voice_ms": {name: milliseconds(turns.took_s) for name, turns in self.phases.items()},
            "turns": sum(len(turns.took_s) for turns in phases),
            "missed": sum(turns.missed for turns in phases),
            "early": sum(turns.early for turns in phases),
            "repeated": sum(turns.repeated for turns in phases),
            "gaps_over_60_ms": self.gaps,
            "holes_over_60_ms": self.holes,
            "agent_packets_missing": round(self.missing, 4),
        }


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def median_ms(turns: Turns) -> str:
    """Voice to voice in words."""
    return f"{1000 * statistics.median(turns.took_s):.0f} ms" if turns.took_s else "not answered"


async def outcome(caller: RoughCaller, sending: asyncio.Task[None], condition: Condition, plan: Plan) -> Outcome:
    """One call from its first question to its last. Raises CallError where it does not go on."""
    began = time.monotonic()
    before = await caller.talk(plan.turns, listen_s=plan.listen_s)
    say(f"  {condition.name}: begins now; before it, voice to voice {median_ms(before)}")
    condition.begin(caller)
    lasting_s, first = plan.trouble_s, condition.first
    during = await caller.talk(plan.turns, lasting_s=lasting_s, listen_s=plan.listen_s, first=first)
    condition.end(caller)
    after = await caller.talk(plan.turns, listen_s=plan.listen_s)
    if sending.done():
        sending.result()
    turns = (before, during, after)
    missed, early = sum(each.missed for each in turns), sum(each.early for each in turns)
    heard = f"{missed} turns missed, {early} early, {caller.gaps} gaps, {caller.holes} holes"
    say(f"  {condition.name}: voice to voice {', '.join(map(median_ms, turns))}; {heard}")
    missing = max(0.0, caller.frames_missing(began, time.monotonic()))  # those before may have been late
    return Outcome(before, during, after, caller.gaps, caller.holes, missing, max(each.late_s for each in turns))


async def idle(http: httpx.AsyncClient, url: str) -> dict[str, float | None]:
    """What the server holds while nobody calls: sockets close in the background."""
    deadline, seen = time.monotonic() + SETTLE_TIMEOUT_S, [await usage(http, url)]
    while len({each.files for each in seen[-4:]}) > 1 or len(seen) < 4:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(SETTLE_S)
        seen.append(await usage(http, url))
    return {"files": seen[-1].files, "resident_mb": round(seen[-1].resident / 2**20, 1)}


async def connected(
    http: httpx.AsyncClient, url: str, forms: dict[str, Form]
) -> dict[str, tuple[RoughCaller, asyncio.Task[None]]]:
    """A call for each, one after the other: a connection takes this process 50 ms."""
    return {key: await call(http, url, QUESTION, form) for key, form in forms.items()}


async def visits(http: httpx.AsyncClient, url: str, chosen: dict[str, Condition]) -> None:
    """As many calls as are measured, of one question: what the server makes once, and keeps, it makes in the first."""
    calls = await connected(http, url, {key: condition.form for key, condition in chosen.items()})

    async def one(index: int, caller: RoughCaller) -> None:
        await asyncio.sleep(index * STAGGER_S)
        with suppress(CallError):  # which is told of the calls that are measured
            await caller.ask()
            await caller.silence_agent()

    await asyncio.gather(*[one(index, caller) for index, (caller, _) in enumerate(calls.values())])
    for caller, sending in calls.values():
        await hang_up(caller, sending)


async def measure(url: str, chosen: dict[str, Condition], plan: Plan) -> dict[str, Any]:
    """All conditions at once."""
    for condition in (*chosen.values(), CONDITIONS[NOTHING]):
        voice(QUESTION, condition.form.duration_ms, condition.form.channels)  # encoding would be a gap in others' sound
    limits = httpx.Limits(max_keepalive_connections=0)  # a connection that is kept is no leak
    async with httpx.AsyncClient(timeout=30, limits=limits, trust_env=False) as http:
        say(f"{len(chosen)} calls of one question, then what the server holds")
        await visits(http, url, chosen)
        held = {BEFORE: await idle(http, url)}
        say(f"{len(chosen)} calls at once, each with {plan.trouble_s:g} s of its trouble")
        calls = await connected(http, url, dict.fromkeys(chosen, Form()))
        gc.collect()
        gc.freeze()  # a full collection would be a gap, too

        async def one(index: int, key: str) -> Outcome | str:
            caller, sending = calls[key]
            await asyncio.sleep(1 + index * STAGGER_S)
            try:
                return await outcome(caller, sending, chosen[key], plan)
            except (CallError, httpx.HTTPError) as error:
                say(f"  {chosen[key].name}: {error}")
                return str(error) or type(error).__name__

        tasks = {key: asyncio.create_task(one(index, key)) for index, key in enumerate(chosen)}
        late_s = await watched(http, url, [caller for caller, _ in calls.values()], list(tasks.values()))
        outcomes = {key: task.result() for key, task in tasks.items()}
        for caller, sending in calls.values():
            await hang_up(caller, sending)
        held[AFTER] = await idle(http, url)
        say(f"{len(chosen)} calls of one question again, then what the server holds")
        await visits(http, url, chosen)
        held[AGAIN] = await idle(http, url)
    told = [each for each in outcomes.values() if isinstance(each, Outcome)]
    return {
        "conditions": {
            key: each.figures() if isinstance(each, Outcome) else {"failed": each} for key, each in outcomes.items()
        },
        "idle": held,
        "trouble_s": plan.trouble_s,
        "server_late_ms": None if late_s is None else round(1000 * late_s),
        "callers_late_ms": round(1000 * max((each.late_s for each in told), default=0.0)),
    }


async def watched(
    http: httpx.AsyncClient, url: str, callers: list[RoughCaller], tasks: list[asyncio.Task[Any]]
) -> float | None:
    """Wait for the calls, and tell how many turns they have had; returns how late the server's frames were at most."""
    began, late_s, unfinished = time.monotonic(), None, set[asyncio.Task[Any]](tasks)
    while unfinished:
        _, unfinished = await asyncio.wait(unfinished, timeout=PROGRESS_S)
        now = await usage(http, url)
        if now.late_s is not None:
            late_s = max(late_s or 0.0, now.late_s)
        asked = sum(caller.asked for caller in callers)
        say(f"  {time.monotonic() - began:.0f} s: {asked} questions asked, {len(unfinished)} calls go on")
    return late_s


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__.splitlines()[0])
    names = [key for key in CONDITIONS if key != NOTHING]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=100.0, help="how long each trouble lasts")
    parser.add_argument("--turns", type=int, default=4, help="questions before it, and after it")
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--check", action="store_true", help="fail where a target was not reached")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error("argument --turns: at least one")
    return options


def main() -> None:
    """The command line."""
    options = arguments()
    end_servers_when_told()
    wanted = (NOTHING, *options.only) if options.only else CONDITIONS
    chosen = {key: condition for key, condition in CONDITIONS.items() if key in wanted}
    say("starting the server")
    try:
        with running(goassist(options.cpu), cpu=options.cpu, port=options.port) as url:
            settle(other_cores(options.cpu))
            figures = asyncio.run(measure(url, chosen, Plan(options.turns, options.seconds)))
    except MeasurementError as error:
        sys.exit(str(error))
    except (httpx.HTTPError, TimeoutError) as error:
        sys.exit(f"the server refused calls or is gone ({type(error).__name__}: {error}); what it said is above")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2) + "\n")
    print(report(figures), flush=True)
    missed = [verdict for verdict in judged(figures, TARGETS) if verdict.reached is False]
    if options.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
