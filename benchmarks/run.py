"""The benchmark: `make bench`. Serves the stand-ins, measures one caller and many, prints JSON.

    python -m benchmarks.run [--callers 1 10 50] [--cpu 0] [--port 8801] [--workers 1] [--json FILE] [--check]

The orchestrator is pinned to one core (with workers: to as many), the callers to the others, Triton with the stand-ins
as well. It is started anew for each figure. Standard error tells how far it is, and at last which targets were reached;
with `--check` the exit status is 1 where one was not.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.comparison import p
from benchmarks.machine import machine
from benchmarks.servers import MeasurementError, goassist, load, other_cores, running
from benchmarks.targets import PACKET_LOST, judged, table

LOSSES = {
    "1": ("1 % loss", "--loss", "0.01"),
    "5": ("5 % loss", "--loss", "0.05"),
    "20": ("20 % loss", "--loss", "0.2"),
    "packet": (PACKET_LOST, "--drop-after-turn", "2"),
}

# So long a run may take: a turn takes a caller 5 to 10 s.
LIMIT_S, LIMIT_S_PER_TURN = 240.0, 15.0


def say(text: str) -> None:
    """Progress, and what it came to."""
    print(text, file=sys.stderr, flush=True)


def outcome(result: dict[str, Any]) -> str:
    """One run in a line."""
    voice_to_voice, gaps, holes = p(result["voice_to_voice_ms"], "p50"), "gaps_over_60_ms", "holes_over_60_ms"
    return (
        f"voice to voice {'–' if voice_to_voice is None else voice_to_voice} ms, {result[gaps]} gaps, "
        f"{result[holes]} holes, {result['missed']} turns missed"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--losses", nargs="*", choices=LOSSES, default=list(LOSSES), help="runs that lose packets")
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here, too; those of other runs in it are kept")
    parser.add_argument("--check", action="store_true", help="fail where a target was not reached")
    options = parser.parse_args()
    server = goassist(options.cpu, options.workers)
    with_workers = f", {options.workers} workers" if options.workers > 1 else ""
    runs: dict[str, tuple[str, ...]] = {
        f"{count} caller{'s' if count > 1 else ''}{with_workers}": ("-n", str(count), "--turns", str(options.turns))
        for count in options.callers
    }
    for name, *loss in map(LOSSES.__getitem__, options.losses):
        runs[name] = ("--turns", "6", "--no-barge-in", *loss)
    limit_s = max(LIMIT_S, LIMIT_S_PER_TURN * options.turns)
    figures: dict[str, Any] = {}
    failed = False
    for index, (name, run) in enumerate(runs.items(), 1):
        say(f"[{index}/{len(runs)}] {name}")
        try:
            with running(server, cpu=options.cpu, port=options.port) as url:
                cpus = other_cores(options.cpu, options.workers)
                figures[name] = load(server, url, *run, cpus=cpus, timeout_s=limit_s)
        except MeasurementError as error:
            say(f"    {error}")
            failed = True
        else:
            say(f"    {outcome(figures[name])}")
    if options.json:
        kept = json.loads(options.json.read_text())["figures"] if options.json.exists() else {}
        written = {"machine": machine(), "figures": kept | figures}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    print(json.dumps(figures, indent=2), flush=True)
    verdicts = judged(figures)
    say(table(verdicts))
    if failed or (options.check and any(verdict.reached is False for verdict in verdicts)):
        sys.exit(1)


if __name__ == "__main__":
    main()
