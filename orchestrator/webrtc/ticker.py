"""The 20 ms clock that every call's frames are sent by: one per process, so that a call costs no timer and no task."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

PERIOD_S = 0.02
SLOTS = 10
CATCH_UP_PERIODS = 10  # frames sent in one burst after a stall; of a longer one the rest is skipped
WINDOW_S = 10.0

Callback = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the frames of the last seconds left, in seconds; zero where none were due."""

    p99_s: float
    max_s: float


class Ticker:
    """Calls every callback once per period, counted from a fixed start, so that errors never add up.

    Callbacks are spread over slots of 2 ms, so that many calls do not queue behind one wake-up. A timer is armed only
    for slots that have callbacks. A callback that raises is reported by the event loop and is called again next time.
    """

    def __init__(self) -> None:
        self._slots: list[list[Callback]] = [[] for _ in range(SLOTS)]
        self._origin = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the slot, counted from the origin, that the timer is armed for
        self._late: deque[tuple[float, float]] = deque(maxlen=int(WINDOW_S / PERIOD_S) * SLOTS)

    def add(self, callback: Callback) -> Callback:
        """Call `callback` every 20 ms from now on; returns the function that stops it, once or more often."""
        slot = min(self._slots, key=len)
        slot.append(callback)
        soon = int((time.monotonic() - self._origin) * SLOTS / PERIOD_S) + 1
        if self._timer is None:
            self._arm(soon)
        elif len(slot) == 1:  # the slot was asleep, and may be due before the one that the timer waits for
            self._timer.cancel()
            self._arm(min(self._next, soon))

        def remove() -> None:
            if callback in slot:
                slot.remove(callback)

        return remove

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def lateness(self, window_s: float = WINDOW_S) -> Lateness:
        """What the admission of further calls goes by: frames late by more than a few ms mean a full process."""
        oldest = time.monotonic() - window_s
        late = sorted(each for at, each in takewhile(lambda entry: entry[0] >= oldest, reversed(self._late)))
        return Lateness(late[len(late) * 99 // 100], late[-1]) if late else Lateness(0.0, 0.0)

    def _arm(self, first: int) -> None:
        """Wait for the first slot from `first` on that has callbacks."""
        self._timer = None
        for slot in range(first, first + SLOTS):
            if self._slots[slot % SLOTS]:
                self._next = slot
                wait_s = max(0.0, self._due_s(slot) - time.monotonic())
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)
                return

    def _tick(self) -> None:
        """Call what is due by now, though no callback twice: between two frames of a call the loop turns."""
        now = time.monotonic()
        first = self._next
        behind = int((now - self._due_s(first)) * SLOTS / PERIOD_S)  # so many further slots are due, too
        last = first + min(behind, SLOTS - 1)
        due: list[tuple[list[Callback], Callback]] = []
        for slot in range(first, last + 1):
            if callbacks := self._slots[slot % SLOTS]:
                self._late.append((now, max(0.0, now - self._due_s(slot))))
                due += [(callbacks, callback) for callback in callbacks]
        skipped = max(0, behind // SLOTS - CATCH_UP_PERIODS)
        self._arm(last + 1 + skipped * SLOTS)
        self._call(tuple(due))

    def _due_s(self, slot: int) -> float:
        return self._origin + slot * PERIOD_S / SLOTS

    def _call(self, due: tuple[tuple[list[Callback], Callback], ...]) -> None:
        for index, (slot, callback) in enumerate(due):
            if callback not in slot:
                continue  # one before it has stopped it
            try:
                callback()
            except BaseException:
                # One call's error, which the loop reports, must not cost the calls behind it their frame.
                asyncio.get_running_loop().call_soon(self._call, due[index + 1 :])
                raise
