"""Backpressure: how hard the process is pressed, and what it gives up for that, in which order. Sound is never in it.

The measure is lateness, against what may not be exceeded: of the audio frames and the event loop, and of what the
models are waited for. A level is taken at once and left only after a while of calm, so that it does not flicker.
"""

from collections import deque
from enum import IntEnum

WINDOW_S = 10.0
# In so many of the window's seconds it must have been as late: one stall, however long, does not make a process full.
SECONDS = 3
MODEL_WINDOW_S = 30.0
MODEL_TURNS = 5  # fewer say nothing about the load
RELEASE = 0.8  # of the load that a level is entered at: only below that it is calm
CALM_S = 3.0


class Level(IntEnum):
    """What is given up, in this order; a level includes those before it."""

    NORMAL = 0
    ANIMATION_YIELD = 1
    VERBOSITY_REDUCE = 2
    TOOL_REFUSE = 3
    SESSION_QUEUE = 4
    SESSION_REJECT = 5


# The load from which on a level holds: 1 is what may not be exceeded.
ENTERED_AT = {
    Level.NORMAL: 0.0,
    Level.ANIMATION_YIELD: 0.4,
    Level.VERBOSITY_REDUCE: 0.55,
    Level.TOOL_REFUSE: 0.7,
    Level.SESSION_QUEUE: 0.85,
    Level.SESSION_REJECT: 1.0,
}


class Pressure:
    """The level of one process. `at_s` is the time, in seconds of any steady clock.

    `limit_s` is the lateness of sound that may not be exceeded, `model_limit_s` the models' delay that may not.
    """

    def __init__(self, *, limit_s: float, model_limit_s: float) -> None:
        self.level = Level.NORMAL
        self._limit_s = limit_s
        self._model_limit_s = model_limit_s
        self._pressed_at_s = 0.0  # when the level was needed last
        self._seconds: deque[tuple[float, float]] = deque()
        self._turns: deque[tuple[float, float]] = deque()

    def answered(self, delay_s: float, at_s: float) -> None:
        """A turn's longest wait for a model: for the transcript, the first word or the first sound."""
        self._turns.append((at_s, delay_s))

    def second_passed(self, late_s: float, at_s: float) -> Level:
        """A second has passed in which a frame, or the event loop, was `late_s` late at worst; returns the level."""
        self._seconds.append((at_s, late_s))
        load = self._load(at_s)
        needed = max(level for level, entered in ENTERED_AT.items() if load >= entered)
        if needed > self.level:
            self.level, self._pressed_at_s = needed, at_s
        elif load >= RELEASE * ENTERED_AT[self.level]:
            self._pressed_at_s = at_s
        elif at_s - self._pressed_at_s >= CALM_S:
            self.level = max(level for level, entered in ENTERED_AT.items() if load >= RELEASE * entered)
            self._pressed_at_s = at_s
        return self.level

    def _load(self, now_s: float) -> float:
        while self._seconds and now_s - self._seconds[0][0] >= WINDOW_S:
            self._seconds.popleft()
        while self._turns and now_s - self._turns[0][0] >= MODEL_WINDOW_S:
            self._turns.popleft()
        late = sorted(late for _, late in self._seconds)
        delays = sorted(delay for _, delay in self._turns)
        load = late[-SECONDS] / self._limit_s if len(late) >= SECONDS else 0.0
        if len(delays) >= MODEL_TURNS:
            load = max(load, delays[len(delays) // 2] / self._model_limit_s)
        return load
