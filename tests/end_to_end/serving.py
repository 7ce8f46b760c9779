"""`goassist serve` as a process of its own, beside a Triton that is there."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.end_to_end.stack import descendants, metric
from tests.test_cli import address, start

STOP_TIMEOUT_S = 40


@dataclass(frozen=True)
class Served:
    """Where it answers, and its process."""

    url: str
    process: subprocess.Popen[str]

    def metric(self, name: str) -> float:
        """A metric of all workers, summed over its labels."""
        return metric(httpx.get(f"{self.url}/metrics", trust_env=False, timeout=10).text, name)

    def open_files(self) -> int:
        """File descriptors of the process, sockets included."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return [pid for pid in descendants(self.process.pid) if "orchestrator.workers" in command_of(pid)]


def command_of(pid: int) -> str:
    """A process's command line; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def serve(triton_url: str, folder: Path, **settings: str) -> Iterator[Served]:
    """Serve with these settings, on a free port; leaving stops it as Ctrl-C does."""
    lenient = {"LOG_LEVEL": "WARNING", "MAX_FRAME_LATENESS_MS": "10000", "WEBRTC_HOSTS": "127.0.0.1"}
    process = start("serve", "--port", "0", cwd=folder, TRITON_URL=triton_url, **{**lenient, **settings})
    try:
        yield Served(address(process).rstrip("/"), process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_TIMEOUT_S)
