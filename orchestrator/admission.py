"""Whether the process can carry one more call, and how hard it is pressed: by how late it is already, not by a number
guessed beforehand."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from orchestrator.core.pressure import Level, Pressure
from orchestrator.errors import CapacityError
from orchestrator.webrtc.ticker import Lateness

WINDOW_S = 10.0
SECOND_S = 1.0
# What was late goes out of the window after that long; a call that ends frees its share at once.
RETRY_AFTER_S = 5
# A single long turn of the event loop does not make a process full.
LAG_QUANTILE = 0.9
# Where a caller waits so long for a model's transcript, first word or first sound, the models are full.
MODEL_LIMIT_S = 5.0
# A call that arrives while the process recovers waits: so many at most, for so long. When it has recovered so many a
# second are taken: all at once would press it again.
MAX_WAITING = 32
WAIT_S = 8.0
RELEASED_PER_S = 2


class Admission:
    """Refuses calls while the event loop or the calls' frames are later than `limit_s`, and keeps the pressure.

    `lateness` is that of the frames of the last so many seconds, `active` tells how many calls there are, `changed` is
    told of each change of the level, and `clock` is in seconds.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        lateness: Callable[[float], Lateness],
        active: Callable[[], int],
        changed: Callable[[Level, Level], None] = lambda level, previous: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_s = limit_s
        self._lateness = lateness
        self._active = active
        self._changed = changed
        self._clock = clock
        self._lags: deque[tuple[float, float]] = deque()
        self._pressure = Pressure(limit_s=limit_s, model_limit_s=MODEL_LIMIT_S)
        self._second_began = clock()
        self._worst_lag_s = 0.0
        self._waiting: dict[asyncio.Future[None], None] = {}  # a dict keeps the order of arrival

    @property
    def level(self) -> Level:
        """How hard the process is pressed."""
        return self._pressure.level

    def note_lag(self, lag_s: float) -> None:
        """The event loop ran a timer so late. To be called several times a second: the pressure is judged by it."""
        now = self._clock()
        self._lags.append((now, lag_s))
        self._forget(now)
        self._worst_lag_s = max(self._worst_lag_s, lag_s)
        passed_s = now - self._second_began
        if passed_s >= SECOND_S:
            late_s = max(self._worst_lag_s, self._lateness(passed_s).max_s)
            self._second_began, self._worst_lag_s = now, 0.0
            previous = self.level
            if (level := self._pressure.second_passed(late_s, now)) is not previous:
                self._changed(level, previous)
            self._release()

    def note_model_delay(self, delay_s: float) -> None:
        """A turn waited so long for a model."""
        self._pressure.answered(delay_s, self._clock())

    async def turn(self) -> None:
        """Let a call wait at the level SESSION_QUEUE; CapacityError where it would wait too long beside others."""
        if self.level is not Level.SESSION_QUEUE or not self._active():
            return
        if len(self._waiting) >= MAX_WAITING:
            raise self._busy()
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            released, _ = await asyncio.wait({place}, timeout=WAIT_S)
        finally:
            self._waiting.pop(place, None)
        # Who waited beside others may have become the first.
        if not released and self._active():
            raise self._busy()

    def check(self) -> None:
        """CapacityError where a further call would degrade those there are. The first is always taken."""
        if self.refuses():
            raise self._busy()

    def refuses(self) -> bool:
        """Whether a further call would degrade those there are."""
        return self._active() > 0 and (self.level is Level.SESSION_REJECT or self._late_s() > self._limit_s)

    @property
    def lag_s(self) -> float:
        """How late the event loop was lately, but for its worst moments."""
        self._forget(self._clock())
        lags = sorted(lag for _, lag in self._lags)
        return lags[int(len(lags) * LAG_QUANTILE)] if lags else 0.0

    def _late_s(self) -> float:
        return max(self._lateness(WINDOW_S).p99_s, self.lag_s)

    def _busy(self) -> CapacityError:
        late_s = self._late_s()
        late = f": audio is {late_s * 1000:.0f} ms late (limit {self._limit_s * 1000:g} ms)"
        # Where it is not, models answer too slowly, or a level has not been left yet.
        reason = late if late_s > self._limit_s else ""
        return CapacityError(
            f"the server is overloaded{reason}; retry in {RETRY_AFTER_S} s", retry_after_s=RETRY_AFTER_S
        )

    def _release(self) -> None:
        """Let those go on who need not wait any more; where calls are refused all do, to be told so at once."""
        if self.level is Level.SESSION_REJECT:
            count = len(self._waiting)
        elif self.level is Level.SESSION_QUEUE:
            count = 0 if self._active() else 1
        else:
            count = RELEASED_PER_S
        for place in list(self._waiting)[:count]:
            del self._waiting[place]
            place.set_result(None)

    def _forget(self, now: float) -> None:
        while self._lags and now - self._lags[0][0] > WINDOW_S:
            self._lags.popleft()
