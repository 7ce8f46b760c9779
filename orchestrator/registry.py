"""The calls of a process: admission, lookup, idle time-out and drain."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, Protocol, TypeVar

from orchestrator.errors import CapacityError

LOGGER = logging.getLogger(__name__)
RETRY_AFTER_S = 5
# A peer takes five seconds to close at the very most.
CLOSE_TIMEOUT_S = 10.0


class Shares(Protocol):
    """What the registry needs to know of other processes that take calls under the same limit."""

    @property
    def taken(self) -> int:
        """Calls of all processes."""

    def note(self, calls: int) -> None:
        """This process has so many calls now."""

    def locked(self) -> AbstractContextManager[None]:
        """No other process takes a call meanwhile."""


class Held(Protocol):
    """What the registry needs of a call."""

    @property
    def id(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def last_active_s(self) -> float: ...
    @property
    def busy(self) -> bool: ...
    @property
    def close_reason(self) -> str | None: ...
    def close(self, reason: str) -> None: ...
    def expel(self, code: str, reason: str) -> None: ...
    async def run(self) -> None: ...


Call = TypeVar("Call", bound=Held)


class Registry(Generic[Call]):
    """Owns the tasks of all calls.

    They are no TaskGroup: an error in one call must not end the others. It is logged with its traceback instead, and
    the call is gone. `clock` in seconds is that of the calls' `last_active_s`. `shares`: other processes have calls
    under the same `max_sessions`.
    """

    def __init__(
        self,
        *,
        max_sessions: int,
        idle_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        shares: Shares | None = None,
    ) -> None:
        self.max_sessions = max_sessions
        self._shares = shares
        self._idle_timeout_s = idle_timeout_s
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    @property
    def draining(self) -> bool:
        """Whether no new calls are taken because the process stops."""
        return self._draining

    def get(self, call_id: str) -> Call | None:
        """The call of that id, None where there is none, or no longer."""
        return self._calls.get(call_id)

    @property
    def free(self) -> int:
        """How many more calls may be taken."""
        return max(0, self.max_sessions - (self._shares.taken if self._shares else len(self._calls)))

    def locked(self) -> AbstractContextManager[None]:
        """No other process takes a place between `check_capacity` and `start`; nothing may be awaited there."""
        return self._shares.locked() if self._shares else nullcontext()

    def check_capacity(self) -> None:
        """CapacityError where another call cannot be taken at present."""
        if self._draining:
            raise CapacityError("the server is shutting down", retry_after_s=RETRY_AFTER_S)
        if not self.free:
            raise CapacityError(
                f"all {self.max_sessions} sessions are taken: try again shortly", retry_after_s=RETRY_AFTER_S
            )

    def start(self, call: Call) -> None:
        """Run the call until it ends by itself, is closed, or nothing happens in it for the idle time-out."""
        assert call.id not in self._calls
        self._calls[call.id] = call
        self._counted()
        task = asyncio.create_task(self._hold(call), name=f"call {call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(lambda task: self._ended(call, task))
        LOGGER.info("session began", extra={"session": call.id, "transport": call.transport, "active": len(self)})

    async def end(self, call_id: str, reason: str) -> None:
        """Close a call and return once nothing of it is left."""
        call, task = self._calls.get(call_id), self._tasks.get(call_id)
        if call is not None and task is not None:
            call.close(reason)
            await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)

    async def ended(self, call_id: str) -> None:
        """Return once the call has ended and nothing of it is left."""
        if (task := self._tasks.get(call_id)) is not None:
            await asyncio.wait({task})

    async def drain(self, timeout_s: float) -> None:
        """Take no more calls, let those that are end by themselves for `timeout_s`, then close the rest."""
        self._draining = True
        if self._tasks and timeout_s > 0:
            LOGGER.info("draining", extra={"active": len(self), "timeout_s": timeout_s})
            await asyncio.wait(self._tasks.values(), timeout=timeout_s)
        for call in self:
            call.expel("server_shutdown", "The server is shutting down.")
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks.values(), timeout=CLOSE_TIMEOUT_S)
            for task in unfinished:
                task.cancel()

    async def _hold(self, call: Call) -> None:
        """Run the call, and end it where nothing happens in it."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def check() -> None:
            nonlocal timer
            idle_s = 0.0 if call.busy else self._clock() - call.last_active_s
            if idle_s >= self._idle_timeout_s:
                call.expel("session_idle_timeout", f"Nothing was said for {self._idle_timeout_s:g} s.")
            else:
                timer = loop.call_later(self._idle_timeout_s - idle_s, check)

        check()
        try:
            await call.run()
        finally:
            if timer is not None:
                timer.cancel()

    def _counted(self) -> None:
        if self._shares:
            self._shares.note(len(self._calls))

    def _ended(self, call: Call, task: asyncio.Task[None]) -> None:
        del self._calls[call.id], self._tasks[call.id]
        self._counted()
        fields = {"session": call.id, "active": len(self)}
        if task.cancelled():
            LOGGER.warning("session cancelled", extra=fields)
        elif (error := task.exception()) is not None:
            LOGGER.error("session failed", exc_info=error, extra=fields)
        else:
            LOGGER.info("session ended", extra={**fields, "reason": call.close_reason})
