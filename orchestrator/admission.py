"""Whether the process can carry one more call: by how late it is already, not by a number guessed beforehand."""

import time
from collections import deque
from collections.abc import Callable

from orchestrator.errors import CapacityError
from orchestrator.webrtc.ticker import Lateness

WINDOW_S = 10.0
# What was late goes out of the window after that long; a call that ends frees its share at once.
RETRY_AFTER_S = 5
# A single long turn of the event loop does not make a process full.
LAG_QUANTILE = 0.9


class Admission:
    """Refuses calls while the event loop or the calls' frames are later than `limit_s`.

    `lateness` is that of the frames, `clock` in seconds.
    """

    def __init__(
        self, limit_s: float, *, lateness: Callable[[], Lateness], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._lateness = lateness
        self._clock = clock
        self._lags: deque[tuple[float, float]] = deque()

    def note_lag(self, lag_s: float) -> None:
        """The event loop ran a timer so late."""
        now = self._clock()
        self._lags.append((now, lag_s))
        self._forget(now)

    def check(self, *, active: int) -> None:
        """CapacityError where a further call beside `active` ones would degrade them. The first is always taken."""
        if not active:
            return
        late_s = max(self._lateness().p99_s, self.lag_s)
        if late_s > self._limit_s:
            raise CapacityError(
                f"the server is busy: its sound would be {late_s * 1000:.0f} ms late; try again shortly",
                retry_after_s=RETRY_AFTER_S,
            )

    @property
    def lag_s(self) -> float:
        """How late the event loop was lately, but for its worst moments."""
        self._forget(self._clock())
        lags = sorted(lag for _, lag in self._lags)
        return lags[int(len(lags) * LAG_QUANTILE)] if lags else 0.0

    def _forget(self, now: float) -> None:
        while self._lags and now - self._lags[0][0] > WINDOW_S:
            self._lags.popleft()
