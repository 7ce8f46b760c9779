"""GoAssist beside pipecat: `make bench-peers`. The same stand-ins, the same callers, one after the other on one core.

    python -m benchmarks.peers [--figures conversation packet loss callers] [--callers 3 10 20 30 50] [--json FILE]

Each measurement starts its server anew. With more and more callers a server is measured until half of its calls have
gaps in their sound (over 60 ms) or a turn goes unanswered. Prints a table with ratios; `--json` keeps all figures, and
those of earlier runs that were not taken again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.comparison import FIGURES, carried, markdown
from benchmarks.machine import machine
from benchmarks.servers import (
    MeasurementError,
    Server,
    end_servers_when_told,
    goassist,
    load,
    other_cores,
    pipecat,
    running,
)

SINGLE = {
    "conversation": ("-n", "1", "--turns", "6"),
    "packet": ("-n", "1", "--turns", "6", "--no-barge-in", "--drop-after-turn", "2"),
    "loss": ("-n", "1", "--turns", "4", "--no-barge-in", "--loss", "0.05"),
}

SERVERS: dict[str, Callable[[int], Server]] = {
    "goassist": goassist,
    "pipecat-vad": lambda _: pipecat("vad"),
    "pipecat": lambda _: pipecat("smart"),
}

Measured = dict[str, Any]


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def measure(server: Server, title: str, run: tuple[str, ...], options: argparse.Namespace) -> Measured:
    """One measurement. One that does not end is told and kept as such; MeasurementError where no server started."""
    began = time.monotonic()
    say(f"  {server.name}: {title} …")
    with running(server, cpu=options.cpu, port=options.port) as url:
        try:
            result = load(server, url, *run, cpus=other_cores(options.cpu))
        except MeasurementError as error:
            say(f"    {error}")
            return {"failed": str(error)}
    latency = result["voice_to_voice_ms"] or {"p50": "–"}
    smooth = f"{result['callers_without_gaps']} of {result['callers']} without gaps"
    took_s = time.monotonic() - began
    say(f"    voice to voice {latency['p50']} ms, {smooth}, {result['missed']} turns missed ({took_s:.0f} s)")
    return result


def measure_callers(
    servers: list[Server], kept: dict[str, dict[str, Measured]], options: argparse.Namespace, keep: Callable[[], None]
) -> None:
    """More and more callers, each server until it does not carry them; into `kept`, from where an earlier run ended."""
    for count in sorted(options.callers):
        for server in servers:
            results = kept.setdefault(server.name, {})
            if all(carried(each) for fewer, each in results.items() if int(fewer) < count):
                run = ("-n", str(count), "--turns", "4")
                results[str(count)] = measure(server, f"{count} callers", run, options)
                keep()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=FIGURES)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--callers", type=int, nargs="+", default=[3, 10, 20, 30, 50])
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--json", type=Path, help="keep all figures in this file")
    options = parser.parse_args()
    end_servers_when_told()
    servers = [SERVERS[name](options.cpu) for name in options.servers]
    written: Measured = {"machine": machine(), "figures": {}}
    if options.json and options.json.exists():
        written["figures"] = json.loads(options.json.read_text())["figures"]

    def keep() -> None:
        """After each measurement, so that an interruption loses none."""
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(written, indent=2) + "\n")

    say(f"core {options.cpu} for the server, the others for the callers; this takes about 12 minutes")
    for figure in options.figures:
        say(f"{figure}:")
        kept = written["figures"].setdefault(figure, {})
        if figure == "callers":
            measure_callers(servers, kept, options, keep)
            continue
        for server in servers:
            kept[server.name] = measure(server, figure, SINGLE[figure], options)
            keep()
    print(markdown(written["figures"]))


if __name__ == "__main__":
    try:
        main()
    except MeasurementError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
