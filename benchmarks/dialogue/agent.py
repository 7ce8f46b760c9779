"""The agent as a user starts it, on free ports: `goassist up --profile embedded`."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import TracebackType

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30


class RunningAgent:
    """Starts the agent and gives its address; ends it as Ctrl-C does. What it logs goes to stderr when it fails."""

    def __enter__(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # How late frames get on a busy machine is not what is measured here.
        lenient = {"API_HOST": "127.0.0.1", "MAX_FRAME_LATENESS_MS": "10000", "LOG_LEVEL": "WARNING"}
        command = [sys.executable, "-m", "orchestrator", "up", "--profile", "embedded", "--port", str(port)]
        self._process = subprocess.Popen(command, env={**os.environ, **lenient}, stdout=sys.stderr)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _ready(url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                sys.exit("the agent did not become ready: see above")
            time.sleep(0.2)
        return url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_TIMEOUT_S)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
