"""One process per core behind one port: started, watched, restarted and stopped by the process that was asked to serve.

Each worker listens on the port by itself (SO_REUSEPORT), so that connections go round a worker that is gone.
"""

import asyncio
import logging
import os
import pickle
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import uvloop

from orchestrator.address import bind
from orchestrator.errors import ConfigurationError, GoAssistError
from orchestrator.places import new_places, occupy, vacate
from orchestrator.server import Interrupted, Stop, run_orchestrator
from orchestrator.settings import Settings
from orchestrator.siblings import HOST, Worker
from orchestrator.telemetry.kept import new_kept
from orchestrator.telemetry.logs import configure_logs

LOGGER = logging.getLogger(__name__)
READY = b"ready\n"
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.2, 10.0
# Beyond what a worker needs to end its calls and its server.
KILL_AFTER_S = 20.0


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker is told over its standard input, which ends when its parent does."""

    settings: Settings
    worker: Worker
    loopback_fd: int


async def run_workers(settings: Settings, listener: socket.socket, stop: Stop, *, ready: Callable[[], None]) -> None:
    """Serve with `settings.workers` processes on the port of `listener` until the stop is asked for.

    The listener itself only stays bound, so that no other user gets the port. (That it was free, it has shown.)
    """
    settings = settings.model_copy(update={"api_port": listener.getsockname()[1]})
    async with AsyncExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Bound here, once, so that a restarted worker has the port that its siblings know.
        loopbacks = [stack.enter_context(socket.socket()) for _ in range(settings.workers)]
        for each in loopbacks:
            each.bind((HOST, 0))
        ports = tuple(each.getsockname()[1] for each in loopbacks)
        secret = secrets.token_hex()
        places, kept = new_places(settings.workers), new_kept(settings.workers)
        stack.callback(os.close, places)
        stack.callback(os.close, kept)
        starts = [
            Start(settings, Worker(number, ports, secret, places, kept), each.fileno())
            for number, each in enumerate(loopbacks)
        ]
        began = [asyncio.Event() for _ in starts]
        failures: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for start, event in zip(starts, began, strict=True):
                    tasks.create_task(_supervise(start, stop, event), name=f"worker {start.worker.number}")
                with suppress(Interrupted):
                    await stop.unless(_all(began))
                    ready()
        except* ConfigurationError as group:
            failures.extend(group.exceptions)  # not raised in here: early Pythons 3.11 would wrap it in a group
        if failures:
            raise failures[0]


async def _all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _supervise(start: Start, stop: Stop, began: asyncio.Event) -> None:
    """Keep one worker running until the stop is asked for. ConfigurationError where it cannot be started at first."""
    number, backoff_s = start.worker.number, FIRST_BACKOFF_S
    while not stop.asked.is_set():
        try:
            process = await _begin(start)
        except OSError as error:  # no process, memory or file is left for it now: the others are to go on
            if not began.is_set():
                raise ConfigurationError(f"worker {number} could not be started: {error.strerror}") from error
            LOGGER.error("a worker could not be restarted", extra={"worker": number, "reason": error.strerror})
        else:
            try:
                if await _ended(process, start, stop, began):
                    backoff_s = FIRST_BACKOFF_S
            except Interrupted:
                return
            if not began.is_set():
                raise ConfigurationError(f"worker {number} could not be started: see above")
            LOGGER.error(
                "a worker ended and is restarted; its calls are lost",
                extra={"worker": number, "status": process.returncode},
            )
        with suppress(Interrupted):
            await stop.unless(asyncio.sleep(backoff_s))
        backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)


async def _begin(start: Start) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator.workers"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=[start.loopback_fd, start.worker.places_descriptor, start.worker.kept_descriptor],
        start_new_session=True,  # Ctrl-C is for this process, which passes it on
    )


async def _ended(process: asyncio.subprocess.Process, start: Start, stop: Stop, began: asyncio.Event) -> bool:
    """Wait until a worker has ended, and tell whether it had served. Where the stop is asked for, raise Interrupted."""
    served = False
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(start))
        if await stop.unless(process.stdout.readline()) == READY:
            served = True
            began.set()
        await stop.unless(process.wait())
    except Interrupted:
        await _stop(process, stop)
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        vacate(start.worker.places_descriptor, start.worker.number)
    return served


async def _stop(process: asyncio.subprocess.Process, stop: Stop) -> None:
    """Tell a worker to stop as this process was told; it may drain its calls until a second order."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        with suppress(Interrupted):
            await stop.unless(process.wait(), stop.hurried)
            return
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER_S):
                await process.wait()


def main() -> int:
    """A worker: what it is comes over standard input."""
    start: Start = pickle.load(sys.stdin.buffer)  # from the parent alone
    configure_logs(start.settings.log_level, start.settings.log_format)

    def ready() -> None:
        occupy(start.worker.places_descriptor, start.worker.number)
        os.write(sys.stdout.fileno(), READY)

    async def run() -> None:
        stop = Stop()
        # Nothing else is written there: it becomes readable when the parent has gone.
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _parent_gone, stop)
        with bind(start.settings, shared=True) as listener, socket.socket(fileno=start.loopback_fd) as loopback:
            await run_orchestrator(start.settings, listener, stop, ready=ready, worker=start.worker, loopback=loopback)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except GoAssistError as error:
        sys.stderr.write(f"goassist: {error}\n")
        return 1
    return 0


def _parent_gone(stop: Stop) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    stop.asked.set()
    stop.hurried.set()


if __name__ == "__main__":
    # As a module of its own name, so that what was pickled is found under it.
    from orchestrator import workers

    sys.exit(workers.main())
