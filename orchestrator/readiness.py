"""Whether every model is ready: asked for by probes, pages and each new call."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import BackendUnavailableError, GoAssistError

# Young enough for a probe, old enough that a rush of calls asks once.
MAX_AGE_S = 0.5
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was ready when it was asked for, by name; and why not, of those that say so."""

    backends: Mapping[str, bool]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether calls can be taken."""
        return all(self.backends.values())

    @property
    def missing(self) -> str:
        """What is not ready, in words, and why; "" where all is."""
        names = [name for name, ready in self.backends.items() if not ready]
        return "; ".join([f"not ready: {', '.join(names)}", *self.reasons.values()]) if names else ""


@dataclass(slots=True)
class ReadinessCheck:
    """Asks each backend, once per `MAX_AGE_S` at most, and logs a reason when it is another than before.

    A question answers False where nobody is there to ask, or raises the GoAssistError that says what is wrong.
    """

    questions: Mapping[str, Callable[[], Awaitable[bool]]]
    clock: Callable[[], float] = time.monotonic
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _latest: Readiness | None = None
    _asked_at: float = 0.0

    async def current(self) -> Readiness:
        """What is ready now, or was a moment ago."""
        async with self._lock:
            if self._latest is None or self.clock() - self._asked_at > MAX_AGE_S:
                before, self._latest = self._latest, await self._asked()
                self._asked_at = self.clock()
                for name, reason in self._latest.reasons.items():
                    if before is None or before.reasons.get(name) != reason:
                        LOGGER.warning("%s is not ready: %s", name, reason)
            return self._latest

    async def require(self) -> None:
        """Raise BackendUnavailableError where a call could not be served."""
        readiness = await self.current()
        if not readiness.ready:
            # A reason says what to do.
            advice = "" if readiness.reasons else "; try again shortly"
            raise BackendUnavailableError(readiness.missing + advice)

    async def _asked(self) -> Readiness:
        answers = await asyncio.gather(*[_answer(ask) for ask in self.questions.values()])
        named = dict(zip(self.questions, answers, strict=True))
        return Readiness(
            {name: ready for name, (ready, _) in named.items()}, {name: why for name, (_, why) in named.items() if why}
        )


async def _answer(ask: Callable[[], Awaitable[bool]]) -> tuple[bool, str]:
    """Whether it is ready, and why not where it says so."""
    try:
        return await ask(), ""
    except GoAssistError as error:
        return False, str(error)
