"""Metrics that many threads update and one hands on.

Each update of a Triton metric is a round trip through shared memory, and two at the same time corrupt it (seen with
Triton 2.51: the server aborts with std::bad_alloc within a second of 20 streams). So updates are noted here, added up,
and handed on by one thread a few times a second.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

PERIOD_S = 0.2
MAX_OBSERVATIONS = 4096  # of a histogram between two periods; more are forgotten, not waited for

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
