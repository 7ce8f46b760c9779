"""The benchmark: `make bench`. Serves the stand-ins, measures one caller and many, prints JSON.

    python -m benchmarks.run [--callers 1 10 50] [--cpu 0] [--port 8801]

The orchestrator is pinned to one core, the callers to the others, Triton with the stand-ins as well.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

READY_TIMEOUT_S = 60


def ready(url: str) -> bool:
    """Whether the server and its models are."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def load(url: str, callers: int, *options: str, cpus: set[int]) -> dict[str, object]:
    """One run of the load client, on these cores."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", url, "-n", str(callers), *options]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus), timeout=540
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--port", type=int, default=8801)
    options = parser.parse_args()
    url = f"http://127.0.0.1:{options.port}"
    others = os.sched_getaffinity(0) - {options.cpu} or os.sched_getaffinity(0)
    command = [sys.executable, "-m", "benchmarks.serve", "--port", str(options.port), "--cpu", str(options.cpu)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not ready(url):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("the server did not become ready")
            time.sleep(0.2)
        results = {}
        for callers in options.callers:
            results[f"{callers} callers"] = load(url, callers, "--turns", str(options.turns), cpus=others)
        results["5 % loss"] = load(url, 1, "--turns", "6", "--no-barge-in", "--loss", "0.05", cpus=others)
        lost = load(url, 1, "--turns", "6", "--no-barge-in", "--drop-after-turn", "2", cpus=others)
        results["one packet lost after turn 2"] = lost
        print(json.dumps(results, indent=2))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


if __name__ == "__main__":
    main()
