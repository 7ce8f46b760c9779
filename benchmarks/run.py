"""The benchmark: `make bench`. Serves the stand-ins, measures one caller and many, prints JSON.

    python -m benchmarks.run [--callers 1 10 50] [--cpu 0] [--port 8801] [--workers 1] [--json FILE]

The orchestrator is pinned to one core (with workers: to as many), the callers to the others, Triton with the stand-ins
as well. It is started anew for each figure.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.servers import MeasurementError, goassist, load, other_cores, running

LOSSES = {
    "5": ("5 % loss", "--loss", "0.05"),
    "20": ("20 % loss", "--loss", "0.2"),
    "packet": ("one packet lost after turn 2", "--drop-after-turn", "2"),
}


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
    options = parser.parse_args()
    server = goassist(options.cpu, options.workers)
    with_workers = f", {options.workers} workers" if options.workers > 1 else ""
    runs: dict[str, tuple[str, ...]] = {
        f"{count} caller{'s' if count > 1 else ''}{with_workers}": ("-n", str(count), "--turns", str(options.turns))
        for count in options.callers
    }
    for name, *loss in map(LOSSES.__getitem__, options.losses):
        runs[name] = ("--turns", "6", "--no-barge-in", *loss)
    figures: dict[str, Any] = {}
    for index, (name, run) in enumerate(runs.items(), 1):
        print(f"[{index}/{len(runs)}] {name}", file=sys.stderr, flush=True)
        try:
            with running(server, cpu=options.cpu, port=options.port) as url:
                figures[name] = load(server, url, *run, cpus=other_cores(options.cpu, options.workers))
        except MeasurementError as error:
            sys.exit(str(error))
    if options.json:
        kept = json.loads(options.json.read_text())["figures"] if options.json.exists() else {}
        written = {"machine": machine(), "figures": kept | figures}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
