"""Metrics that many threads update and one hands on.

Each update of a Triton metric is a round trip through shared memory, and two at the same time corrupt it (seen with
Triton 2.51: the server aborts with std::bad_alloc within a second of 20 streams). So updates are noted here, added up,
and handed on by one thread a few times a second.
"""

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

PERIOD_S = 0.2
MAX_OBSERVATIONS = 4096  # of a histogram between two periods; more are forgotten, not waited for

RECENT = 60.0  # of what a Ratio is measured against: older values weigh less

# Held for every round trip from this process to the server, metric or not.
channel = threading.Lock()


class Metric:
    """A counter, gauge or histogram. Methods may be called from any thread and take no time."""

    def __init__(self, metric: Any, family: Any) -> None:
        self._metric = metric
        self._family = family  # a metric fails once its family has been collected
        self._lock = threading.Lock()
        self._added = 0.0
        self._value: float | None = None
        self._observed: list[float] = []

    def increment(self, value: float) -> None:
        """Add to a counter or gauge."""
        with self._lock:
            self._added += value

    def set(self, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._value = value

    def observe(self, value: float) -> None:
        """Add an observation to a histogram."""
        with self._lock:
            if len(self._observed) < MAX_OBSERVATIONS:
                self._observed.append(value)

    def hand_on(self) -> None:
        """Send what was noted; called by the one thread that does."""
        with self._lock:
            added, value, observed = self._added, self._value, self._observed
            self._added, self._value, self._observed = 0.0, None, []
        if value is not None:
            with channel:
                self._metric.set(value)
        if added:
            with channel:
                self._metric.increment(added)
        for each in observed:
            with channel:
                self._metric.observe(each)


class Family:
    """A metric family of Triton's; its metrics are handed on by `publisher`."""

    def __init__(self, family: Any, publisher: "Publisher") -> None:
        self._family = family
        self._publisher = publisher

    def metric(self, labels: Mapping[str, str] | None = None, buckets: Sequence[float] | None = None) -> Metric:
        """The metric of these labels; `buckets` for a histogram."""
        options = {} if buckets is None else {"buckets": list(buckets)}
        with channel:
            metric = Metric(self._family.Metric(labels=dict(labels or {}), **options), self._family)
        self._publisher.add(metric)
        return metric


class Ratio:
    """The sum of one thing to that of another lately. Methods may be called from any thread.

    What was added fades as more of the other comes, not with time: after a pause the first value would stand for all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._one, self._other = 0.0, 0.0

    def add(self, one: float, other: float) -> float | None:
        """The ratio with these, None as long as there is nothing of the other."""
        with self._lock:
            kept = math.exp(-other / RECENT)
            self._one = self._one * kept + one
            self._other = self._other * kept + other
            return self._one / self._other if self._other else None


_waits = threading.local()


@contextmanager
def waiting() -> Iterator[None]:
    """While this thread, which answers a request, waits for others to be done with the engine."""
    began_at = time.monotonic()
    try:
        yield
    finally:
        _waits.seconds = waited_s() + time.monotonic() - began_at


def waited_s() -> float:
    """How long this thread has been `waiting` altogether."""
    seconds: float = getattr(_waits, "seconds", 0.0)
    return seconds


class Publisher:
    """The thread that hands on the metrics of one process; it ends with the process."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def add(self, metric: Metric) -> None:
        """Hand this one on, too."""
        self._metrics.append(metric)

    def _run(self) -> None:
        while True:
            time.sleep(PERIOD_S)
            for metric in list(self._metrics):
                metric.hand_on()
