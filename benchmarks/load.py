"""Load and latency of a voice server, from outside: `python -m benchmarks.load -n 50 question.wav`.

Each caller waits for quiet and asks on even turns, and barges in 1.5 to 2.5 s into the answer on odd ones. Measured at
the RTP packets: voice to voice (last speech packet sent → first loud packet of the agent), barge-in (first speech
packet's beginning → the agent's last loud packet before 200 ms of quiet), gaps over 60 ms between two packets, holes of
60 to 400 ms in answers, filled with silence. The server's CPU and memory come from its /metrics (process_*), or from
/stats for `--api offer`. Prints one JSON object.
"""

import argparse
import asyncio
import gc
import json
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np

from benchmarks.caller import Caller, Network
from benchmarks.speech import Utterance, silence, utterance
from orchestrator.webrtc.ticker import Ticker

# Shorter than the server remembers how late its frames were. Each time costs it some 5 ms, as Prometheus does.
USAGE_PERIOD_S = 5
QUESTION = Path(__file__).parents[1] / "tests" / "audio" / "about_yourself.wav"


@dataclass(slots=True)
class Results:
    """Seconds, per turn or caller."""

    voice_to_voice: list[float] = field(default_factory=list)
    by_turn: dict[int, list[float]] = field(default_factory=dict)
    barge_in: list[float] = field(default_factory=list)
    connect: list[float] = field(default_factory=list)
    gaps: int = 0
    holes: int = 0
    smooth: int = 0  # callers without a gap
    missed: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Usage:
    """The server's so far: CPU seconds, resident bytes; if it says that, how late its frames were, and open files."""

    cpu_s: float
    resident: float
    late_s: float | None = None
    files: int | None = None


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    parser.add_argument("question", nargs="?", type=Path, default=QUESTION, help="what callers ask (a sound file)")
    parser.add_argument("--barge-in", type=Path, help="what they say when they interrupt (default: the question)")
    parser.add_argument("--url", default="http://127.0.0.1:8801")
    parser.add_argument("--api", choices=["realtime", "offer"], default="realtime")
    parser.add_argument("-n", "--callers", type=int, default=1)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--no-barge-in", action="store_true", help="every turn waits for quiet")
    parser.add_argument("--loss", type=float, default=0.0, help="share of the callers' packets that is lost")
    parser.add_argument("--drop-after-turn", type=int, help="lose one packet after this turn (counted from 0)")
    parser.add_argument("--stagger", type=float, default=0.2, help="seconds between two callers' beginnings")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


async def usage(http: httpx.AsyncClient, url: str, api: str = "realtime") -> Usage:
    """What the server has used so far."""
    if api == "offer":
        stats = (await http.get(f"{url}/stats")).json()
        return Usage(stats["cpu_s"], stats["rss"])
    text = (await http.get(f"{url}/metrics")).text

    def values(name: str) -> list[float]:
        return [float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)]

    return Usage(
        sum(values("process_cpu_seconds_total")),
        sum(values("process_resident_memory_bytes")),
        max(values("goassist_frame_lateness_seconds"), default=None),
        int(sum(values("process_open_fds"))) or None,
    )


async def converse(
    caller: Caller,
    question: Utterance,
    barge_in: Utterance,
    options: argparse.Namespace,
    random: Random,
    results: Results,
) -> None:
    """One caller's turns."""
    await asyncio.sleep(1.5 + random.random())  # people don't speak in step
    for turn in range(options.turns):
        interrupting = turn % 2 == 1 and not options.no_barge_in
        if options.drop_after_turn is not None and turn == options.drop_after_turn + 1:
            caller.drop_next = 1
            await asyncio.sleep(0.5)
        if interrupting:
            await asyncio.sleep(1.5 + random.random())
            interrupting = time.monotonic() - caller.last_loud_s() < 0.1
        else:
            await caller.quiet(0.6)
        await caller.say(barge_in if interrupting else question)
        since_s = caller.end_s
        if interrupting:
            await caller.quiet(0.21, timeout_s=10)
            silent_s = caller.silent_after(caller.onset_s)
            results.barge_in.append(silent_s - caller.onset_s)
            since_s = max(since_s, silent_s + 0.001)
        loud_s = await caller.loud_after(since_s)
        if loud_s is None:
            results.missed += 1
        else:
            results.voice_to_voice.append(loud_s - caller.end_s)
            results.by_turn.setdefault(turn, []).append(loud_s - caller.end_s)
    await caller.quiet(0.6)
    results.gaps += caller.gaps
    results.holes += caller.holes
    results.smooth += caller.gaps == 0


def milliseconds(values: list[float]) -> dict[str, float] | None:
    """Percentiles."""
    if not values:
        return None
    p50, p95, largest = np.percentile(values, [50, 95, 100]) * 1000
    return {"p50": round(float(p50)), "p95": round(float(p95)), "max": round(float(largest)), "n": len(values)}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all callers and gather the figures."""
    question = utterance(options.question)
    barge_in = utterance(options.barge_in) if options.barge_in else question
    quiet, results, ticker = silence(), Results(), Ticker()
    random = Random(options.seed)
    async with httpx.AsyncClient(timeout=30) as http:
        before = await usage(http, options.url, options.api)
        callers: list[Caller] = []
        connected_s: list[float] = []
        began = time.monotonic()
        # All call before anybody speaks: a connection takes this process 50 ms, which would be a gap in others' sound.
        for index in range(options.callers):
            network = Network(options.loss, options.seed + index)
            caller = Caller(http, options.url, api=options.api, silence=quiet, network=network)
            try:
                results.connect.append(await caller.connect())
            except (httpx.HTTPError, TimeoutError) as error:
                results.refused.append(f"{type(error).__name__}: {error}")
                continue
            callers.append(caller)
            connected_s.append(time.monotonic())
            ticker.add(caller.tick)
        gc.collect()
        gc.freeze()  # a full collection would be a gap, too

        async def talk(caller: Caller, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            await converse(caller, question, barge_in, options, random, results)

        talks = [asyncio.create_task(talk(caller, index * options.stagger)) for index, caller in enumerate(callers)]
        peak, lateness_s, own_lateness_s = before.resident, before.late_s, 0.0
        unfinished = set(talks)
        while unfinished:
            _, unfinished = await asyncio.wait(unfinished, timeout=USAGE_PERIOD_S)
            now = await usage(http, options.url, options.api)
            peak = max(peak, now.resident)
            if now.late_s is not None:
                lateness_s = max(lateness_s or 0.0, now.late_s)
            own_lateness_s = max(own_lateness_s, ticker.lateness().max_s)
        after = await usage(http, options.url, options.api)
        wall_s = time.monotonic() - began
        # A caller who has finished stays on the line until all have: its idle minutes count too.
        minutes = sum(time.monotonic() - start for start in connected_s) / 60
        own = resource.getrusage(resource.RUSAGE_SELF)
        for task in talks:
            task.result()
        for caller in callers:
            await caller.hang_up()
    return {
        "callers": options.callers,
        "connected": len(callers),
        "refused": results.refused[:2],
        "turns": len(results.voice_to_voice),
        "missed": results.missed,
        "voice_to_voice_ms": milliseconds(results.voice_to_voice),
        "voice_to_voice_by_turn_ms": {turn: milliseconds(each) for turn, each in sorted(results.by_turn.items())},
        "barge_in_ms": milliseconds(results.barge_in),
        "gaps_over_60_ms": results.gaps,
        "holes_over_60_ms": results.holes,
        "callers_without_gaps": results.smooth,
        "connect_ms": milliseconds(results.connect),
        "cpu_s_per_session_minute": round((after.cpu_s - before.cpu_s) / minutes, 2) if minutes else None,
        "server_cores": round((after.cpu_s - before.cpu_s) / wall_s, 2),
        "resident_mb": round(peak / 2**20, 1),
        "resident_mb_per_session": round((peak - before.resident) / 2**20 / max(1, len(callers)), 2),
        "server_late_ms": None if lateness_s is None else round(1000 * lateness_s),
        # What the callers themselves were late by: gaps of that size may be theirs.
        "client_late_ms": round(1000 * own_lateness_s),
        "client_cores": round((own.ru_utime + own.ru_stime) / wall_s, 2),
        "wall_s": round(wall_s, 1),
    }


def main() -> None:
    """The command line."""
    options = arguments()
    try:
        results = asyncio.run(measure(options))
    except httpx.TransportError as error:
        sys.exit(f"no voice server answers at {options.url} ({error}): start one with `make bench-server`")
    print(json.dumps(results, indent=2), flush=True)


if __name__ == "__main__":
    main()
