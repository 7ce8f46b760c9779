"""The servers that are measured, each started anew on one core, and the load client beside it on the others."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
# What is measured and its callers go before the machine's other programs, Triton with the stand-ins among them: their
# 20 ms are real, its fixed times have room.
PRIORITY = -10
PIPECAT = ROOT / ".venvs" / "pipecat" / "bin" / "python"


class MeasurementError(Exception):
    """A server did not start, or a measurement did not end; the text says which."""


@dataclass(frozen=True, slots=True)
class Server:
    """How to run one: its command without port, what it is asked for readiness, and how callers reach it."""

    name: str
    command: tuple[str, ...]
    api: str
    ready_path: str
    pins_itself: bool = False


def goassist(cpu: int, workers: int = 1) -> Server:
    """The orchestrator on core `cpu` (with workers: on as many from there on), its Triton on the others."""
    command = (sys.executable, "-m", "benchmarks.serve", "--cpu", str(cpu), "--workers", str(workers))
    return Server("GoAssist", command, "realtime", "/readyz", pins_itself=True)


def pipecat(turn: str) -> Server:
    """pipecat, with its voice detection alone (`vad`) or with its turn model too (`smart`, its default)."""
    name = {"vad": "pipecat, VAD only", "smart": "pipecat, default"}[turn]
    return Server(name, (str(PIPECAT), "-m", "benchmarks.pipecat_server", "--turn", turn), "offer", "/stats")


def own_cores(cpu: int, workers: int = 1) -> set[int]:
    """The cores of the server: `cpu`, and with workers the next ones that this process may use (`taskset`)."""
    usable = os.sched_getaffinity(0) | {cpu}
    return set(sorted(core for core in usable if core >= cpu)[:workers])


def other_cores(cpu: int, workers: int = 1) -> set[int]:
    """The cores of the callers: all but the server's, where there are others; all but its first, where there is one."""
    cores = os.sched_getaffinity(0)
    return cores - own_cores(cpu, workers) or cores - {cpu} or cores


def end_servers_when_told() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that no server is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def settle(cores: set[int], process: int = 0) -> None:
    """Keep a process (0: this one) to these cores, and let it go first where we may decide that."""
    os.sched_setaffinity(process, cores)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, process, PRIORITY)


@contextmanager
def running(server: Server, *, cpu: int, port: int) -> Iterator[str]:
    """The server, ready for calls; yields its address. MeasurementError where it does not become ready."""
    url = f"http://127.0.0.1:{port}"
    if _ready(url + server.ready_path):
        raise MeasurementError(f"port {port} is taken by another server: choose one with PORT=")
    begin = None if server.pins_itself else partial(settle, {cpu})
    process = subprocess.Popen(
        [*server.command, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "LOGURU_LEVEL": "ERROR"},  # pipecat greets on import
        stdout=subprocess.DEVNULL,
        preexec_fn=begin,
        process_group=0,
    )
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _ready(url + server.ready_path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise MeasurementError(f"{server.name} did not become ready; what it said is above")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def load(server: Server, url: str, *options: str, cpus: set[int], timeout_s: float = 240) -> dict[str, Any]:
    """One run of the load client on these cores: what it prints, and the machine's load before it."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", url, "--api", server.api, *options]
    load_before = os.getloadavg()[0]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=partial(settle, cpus),
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{server.name} was not done after {timeout_s:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise MeasurementError(f"the callers of {server.name} failed; what they said is above") from error
    result: dict[str, Any] = json.loads(done.stdout)
    measured_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = {"options": " ".join(options), "measured_at": measured_at, "load_average_before": round(load_before, 2)}
    return {**about, **result}


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
