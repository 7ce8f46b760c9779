"""When GoAssist and pipecat take the turn, on the same calls: `make dialogue-peers`.

    python -m benchmarks.dialogue.peers [--servers …] [--port PORT] [--cpu CPU] [-v]

The scripts in which the caller only talks and listens, held with GoAssist (embedded profile: it has to recognise the
words itself) and with pipecat, whose recogniser is a stand-in that needs 30 ms and knows the words; its turn model and
voice detection are its own and hear the same sound. Takes about twelve minutes for all three. --recordings FOLDER plays
the sound files there instead, a call and a turn each.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.dialogue.__main__ import add_recordings_option, perform, recorded_calls
from benchmarks.dialogue.agent import RunningAgent
from benchmarks.dialogue.report import side_by_side
from benchmarks.dialogue.script import turn_taking
from benchmarks.dialogue.talk import Observed
from benchmarks.servers import MeasurementError, end_servers_when_told, pipecat, running

NAMES = {"goassist": "GoAssist", "pipecat": "pipecat, default", "pipecat-vad": "pipecat, VAD only"}


@contextmanager
def answering(server: str, *, cpu: int, port: int) -> Iterator[tuple[str, str]]:
    """The address of a server that is ready for calls, and its callers' api."""
    if server == "goassist":
        with RunningAgent() as url:
            yield url, "realtime"
    else:
        with running(pipecat("vad" if server == "pipecat-vad" else "smart"), cpu=cpu, port=port) as url:
            yield url, "offer"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialogue.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--servers", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--port", type=int, default=8801, help="pipecat's (8801)")
    parser.add_argument("--cpu", type=int, default=0, help="pipecat's core (0)")
    add_recordings_option(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what was said and done")
    options = parser.parse_args()
    end_servers_when_told()
    scripts = recorded_calls(options.recordings) if options.recordings else turn_taking()
    seen: dict[str, list[Observed]] = {}
    try:
        for server in options.servers:
            print(f"{NAMES[server]}:", flush=True)
            seen[NAMES[server]] = []
            with answering(server, cpu=options.cpu, port=options.port) as (url, api):
                talking = perform(scripts, url, api=api, calls=2, verbose=options.verbose, observed=seen[NAMES[server]])
                asyncio.run(talking)
    finally:  # of a run that is broken off, too
        print("\n" + side_by_side(seen))


if __name__ == "__main__":
    try:
        main()
    except MeasurementError as error:
        sys.exit(str(error))
