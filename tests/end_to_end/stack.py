"""The whole product as a user starts it: `goassist up` as a process of its own, on free ports."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """A running `goassist up --profile embedded`; `stop` ends it as Ctrl-C does."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        # Admission by lateness has tests of its own: here a busy machine may be late and must still take calls.
        lenient = {"LOG_LEVEL": "INFO", "API_HOST": "127.0.0.1", "MAX_FRAME_LATENESS_MS": "10000"}
        variables = {**os.environ, **lenient, **environment}
        command = [sys.executable, "-m", "orchestrator", "up", "--profile", "embedded", "--port", str(self.port)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.status("/readyz") != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"goassist up did not become ready:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)

    def status(self, path: str) -> int | None:
        """The HTTP status of a GET; None where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def get(self, path: str) -> str:
        """The body of a GET, whatever its status."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def metric(self, name: str) -> float:
        """A metric of the orchestrator, summed over its labels."""
        return metric(self.get("/metrics"), name)

    def triton_pid(self) -> int:
        """The tritonserver that this stack supervises."""
        children = descendants(self.process.pid)
        return next(pid for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "tritonserver")

    def stop(self) -> int:
        """Interrupt, as Ctrl-C in the terminal does; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


async def eventually(condition: Callable[[], object], within_s: float) -> None:
    """Wait until `condition()` holds; what is asked is another process, so it is polled."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.2)


def metric(exposition: str, name: str) -> float:
    """The sum of a metric's samples in Prometheus' text format."""
    total = 0.0
    for line in exposition.splitlines():
        if line.split("{")[0].split(" ")[0] == name:
            total += float(line.rsplit(" ", 1)[1])
    return total


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found
