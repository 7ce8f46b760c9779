"""The dialogue tests: `make dialogue`, or `python -m benchmarks.dialogue [--only NAME …] [--nightly] [-v]`.

Starts the agent with the embedded profile unless --url names one that runs, goes through the scripts, two calls at a
time, and prints a table. --recordings FOLDER plays the sound files there instead, a call and a turn each, of which the
pauses are found by their level. The exit status is 1 where a target is not met.
"""

import argparse
import asyncio
import json
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.dialogue.agent import RunningAgent
from benchmarks.dialogue.recordings import RecordingError, call, read
from benchmarks.dialogue.report import rows, table
from benchmarks.dialogue.script import Play, Script, daily, nightly
from benchmarks.dialogue.sounds import Studio
from benchmarks.dialogue.talk import Observed, Talk
from orchestrator.core.endpointing_rules import SAMPLE_RATE

CALL_TIMEOUT_S = 180


async def perform(
    scripts: Sequence[Script],
    url: str,
    *,
    api: str = "realtime",
    calls: int = 1,
    verbose: bool = False,
    observed: list[Observed] | None = None,
) -> list[Observed]:
    """Go through the scripts, `calls` of them at a time; what is seen is told as it goes. `api`: see caller.py.

    Returns what was seen, which goes into `observed` call by call, so that nothing is lost of a run that is broken off.
    """
    observed = [] if observed is None else observed
    studio = Studio()
    # All sounds are made before the first call: a microphone cannot wait for them.
    waiting = deque(Talk(script, studio) for script in scripts)
    judging = asyncio.Lock()  # the voices are not re-entrant

    async def line() -> None:
        while waiting:
            talk = waiting.popleft()
            async with asyncio.timeout(CALL_TIMEOUT_S + recorded_s(talk.script)):
                await talk.run(url, api=api)
            async with judging:
                await asyncio.to_thread(talk.judge)
            observed.append(talk.observed)
            print(f"[{len(observed)}/{len(scripts)}] {talk.observed.name}", flush=True)
            if verbose:
                print("\n".join(f"    {line}" for line in talk.observed.log), flush=True)

    try:
        async with asyncio.TaskGroup() as lines:
            for _ in range(calls):
                lines.create_task(line())
    finally:
        studio.close()
    return observed


def recorded_s(script: Script) -> float:
    """How long its recordings take."""
    return sum(step.sound.size for step in script.steps if isinstance(step, Play)) / SAMPLE_RATE


def add_recordings_option(parser: argparse.ArgumentParser) -> None:
    """What people said instead of the scripts."""
    parser.add_argument(
        "--recordings", nargs="+", type=Path, metavar="FOLDER", help="sound files of one turn each, not the scripts"
    )


def chosen(options: argparse.Namespace) -> tuple[Script, ...]:
    """The scripts that the command line asks for; ends the program where there are none."""
    if options.recordings:
        scripts = recorded_calls(options.recordings)
    else:
        scripts = tuple(nightly()) if options.nightly else daily()
    only = tuple(options.only or [""])
    found = tuple(script for script in scripts if script.name.startswith(only))
    if not found:
        sys.exit("no such script; there are: " + ", ".join(script.name for script in scripts))
    return found


def recorded_calls(folders: Sequence[Path]) -> tuple[Script, ...]:
    """A call for each recording in the folders; ends the program where there is nothing to play."""
    try:
        return tuple(map(call, read(folders)))
    except RecordingError as error:
        sys.exit(str(error))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialogue", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scripts (the beginning of a name is enough)")
    parser.add_argument("--nightly", action="store_true", help="all voices, noises and pauses: about an hour")
    add_recordings_option(parser)
    parser.add_argument("--calls", type=int, default=2, help="how many calls at a time (2)")
    parser.add_argument("--url", help="an agent that runs already")
    parser.add_argument("--json", type=Path, help="write what was seen here")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what was said, understood and done")
    options = parser.parse_args()
    scripts = chosen(options)
    observed: list[Observed] = []
    with nullcontext(options.url) if options.url else RunningAgent() as url, suppress(KeyboardInterrupt):
        asyncio.run(perform(scripts, url, calls=options.calls, verbose=options.verbose, observed=observed))
    results = rows(observed)
    print("\n" + table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in observed], indent=1) + "\n")
    if len(observed) < len(scripts):
        sys.exit(f"broken off after {len(observed)} of {len(scripts)} calls")
    sys.exit(any(row.met is False for row in results))


if __name__ == "__main__":
    main()
