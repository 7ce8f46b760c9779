"""Whether every model is ready: asked for by probes, pages and each new call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import BackendUnavailableError

# Young enough for a probe, old enough that a rush of calls asks once.
MAX_AGE_S = 0.5


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was ready when it was asked for, by name."""

    backends: Mapping[str, bool]

    @property
    def ready(self) -> bool:
        """Whether calls can be taken."""
        return all(self.backends.values())

    @property
    def missing(self) -> str:
        """What is not ready, in words; "" where all is."""
        names = [name for name, ready in self.backends.items() if not ready]
        return f"not ready: {', '.join(names)}" if names else ""


@dataclass(slots=True)
class ReadinessCheck:
    """Asks each backend, once per `MAX_AGE_S` at most. A question answers False where nobody is there to ask."""

    questions: Mapping[str, Callable[[], Awaitable[bool]]]
    clock: Callable[[], float] = time.monotonic
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _latest: Readiness | None = None
    _asked_at: float = 0.0

    async def current(self) -> Readiness:
        """What is ready now, or was a moment ago."""
        async with self._lock:
            if self._latest is None or self.clock() - self._asked_at > MAX_AGE_S:
                answers = await asyncio.gather(*[ask() for ask in self.questions.values()])
                self._latest = Readiness(dict(zip(self.questions, answers, strict=True)))
                self._asked_at = self.clock()
            return self._latest

    async def require(self) -> None:
        """Raise BackendUnavailableError where a call could not be served."""
        readiness = await self.current()
        if not readiness.ready:
            raise BackendUnavailableError(f"{readiness.missing}; try again shortly")
