"""What `make bench-server` starts, and that it ends with what started it."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.benchmarks.test_servers import ROOT, free_port


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(met: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_it_serves_with_workers_and_ends_on_sigterm_also_where_interrupts_are_ignored() -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serve", "--port", str(port), "--workers", "2"]
    # A shell's background jobs ignore interrupts, and their children inherit that.
    process = subprocess.Popen(command, cwd=ROOT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
    finally:
        process.terminate()

    assert process.wait(30) == 0
    assert not answers(f"http://127.0.0.1:{port}/livez")
