"""Whether Triton and every model are ready: asked for by probes, pages and each new call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import BackendUnavailableError
from orchestrator.triton.client import TritonClient

# Young enough for a probe, old enough that a rush of calls asks once.
MAX_AGE_S = 0.5


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was ready when it was asked for."""

    server: bool
    models: dict[str, bool]

    @property
    def ready(self) -> bool:
        """Whether calls can be taken."""
        return self.server and all(self.models.values())

    @property
    def missing(self) -> str:
        """What is not ready, in words; "" where all is."""
        if not self.server and not any(self.models.values()):
            return "Triton cannot be reached"
        names = [name for name, ready in self.models.items() if not ready]
        if names:
            return f"not ready: {', '.join(names)}"
        return "" if self.server else "Triton is not ready"


@dataclass(slots=True)
class ReadinessCheck:
    """Asks Triton, once per `MAX_AGE_S` at most."""

    client: TritonClient
    models: Sequence[str]
    clock: Callable[[], float] = time.monotonic
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _latest: Readiness | None = None
    _asked_at: float = 0.0

    async def current(self) -> Readiness:
        """What is ready now, or was a moment ago."""
        async with self._lock:
            if self._latest is None or self.clock() - self._asked_at > MAX_AGE_S:
                server, *models = await asyncio.gather(
                    self.client.server_ready(), *[self.client.model_ready(name) for name in self.models]
                )
                self._latest = Readiness(server, dict(zip(self.models, models, strict=True)))
                self._asked_at = self.clock()
            return self._latest

    async def require(self) -> None:
        """Raise BackendUnavailableError where a call could not be served."""
        readiness = await self.current()
        if not readiness.ready:
            raise BackendUnavailableError(f"{readiness.missing}: try again shortly")
