"""One run of the server as a child process, with the Python models that it starts."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from orchestrator.triton.server_log import ServerLog

LOGGER = logging.getLogger(__name__)
# Leaves a guard in the process group, asks the kernel to end the server when the starting thread dies, however it
# dies, then becomes the server. Not a preexec_fn, which would run Python code between fork and exec of a process full
# of gRPC's threads. The guard, which is not the server's child, waits at a pipe for the end of the caller and then ends
# the group where the server has not ended as it was asked to: one that is stuck never does.
_LAUNCHER = """
import ctypes, os, signal, sys
caller, wait_s, *command = sys.argv[1:]
if (child := os.fork()) == 0:
    if os.fork() == 0:
        os.closerange(1, 3)
        os.execv("/bin/sh", ["sh", "-c", f"read gone; sleep {wait_s}; kill -9 0"])
    os._exit(0)
os.waitpid(child, 0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(caller):
    os.execv(command[0], command)
"""
# Beyond its own time-out for live streams: the server then ends its models.
STOP_MARGIN_S = 3.0


class ServerProcess:
    """The server and its Python models, a process group of their own: the terminal's Ctrl-C passes it by."""

    def __init__(self, process: asyncio.subprocess.Process, log: ServerLog) -> None:
        self.pid = process.pid
        self.log = log
        self._process = process
        self._exited = asyncio.create_task(_exit_of(process), name="triton exit")
        self._reading = asyncio.create_task(self._read(), name="triton log")

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], *, folder: Path, stop_timeout_s: float
    ) -> Self:
        guard_wait_s = f"{stop_timeout_s + STOP_MARGIN_S:g}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), guard_wait_s, *command),
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,  # open as long as this process lives
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, ServerLog())

    async def exit_code(self) -> int:
        return await asyncio.shield(self._exited)

    async def wait(self, *, timeout_s: float) -> bool:
        """Whether the server has ended, waiting for it for at most `timeout_s`."""
        done, _ = await asyncio.wait({self._exited}, timeout=timeout_s)
        return bool(done)

    def models(self) -> set[int]:
        """Process ids of the Python models that live. OSError where none can be read, for lack of descriptors."""
        found = set()
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
                found |= {int(pid) for pid in children.read_text().split()}
        return {pid for pid in found if _lives(pid)}

    async def stop(self, timeout_s: float) -> None:
        try:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            if not await self.wait(timeout_s=timeout_s + STOP_MARGIN_S):
                LOGGER.warning("Triton did not stop within %.0f s and is killed", timeout_s + STOP_MARGIN_S)
        finally:
            self.kill()
        await self.reap()

    def kill(self) -> None:
        """Ends whatever is left of the group, models of a dead server included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def reap(self) -> None:
        """Waits for the end of a killed group and takes the last of its output."""
        await asyncio.wait({self._exited})
        await asyncio.wait({self._reading}, timeout=1.0)
        self._reading.cancel()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while output := await self._process.stdout.read(65_536):
            self.log.feed(output)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _exit_of(process: asyncio.subprocess.Process) -> int:
    """The exit code, as soon as the process has ended.

    Process.wait() also waits until its output is closed, which the models of a server that crashed hold open for long.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # it has ended already, or this process has no descriptor left
        return await process.wait()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    # asyncio's own watcher reaps it at the same time and has no event for that alone.
    while process.returncode is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return process.returncode
