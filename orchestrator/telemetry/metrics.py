"""What Prometheus scrapes of this process: names begin with `goassist_`, beside the standard `process_*`."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from orchestrator import notifications as told
from orchestrator.telemetry.sound import SoundCounters
from orchestrator.vad import VoiceDetector
from orchestrator.webrtc.received import ReceivedSound
from orchestrator.webrtc.ticker import Ticker

CONTENT_TYPE = CONTENT_TYPE_LATEST

# Around the latency contracts: fine between 20 and 500 ms, coarse beyond.
LATENCY_BUCKETS_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.65, 0.8, 1, 1.5, 2, 5)
LAG_PROBE_S = 0.25
# RFC 9110 section 9, RFC 5789, and what the gate calls a WebSocket's request. A client may send any other word as its
# method; each would make a series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "WEBSOCKET"})

_STAGES = {
    "endpointing_ms": "Last speech of the user to the decision that the turn ended",
    "transcript_ms": "Turn end decided to the final transcript",
    "ttft_ms": "Response started to its first text",
    "tts_first_chunk_ms": "First phrase given to speech synthesis to its first sound",
    "ttfa_ms": "Turn end decided to the first audible frame sent",
    "voice_to_voice_ms": "Last speech of the user to the first audible frame sent",
}


class Metrics:
    """The metrics of one process. Counting costs about a microsecond each; scraping does the rest.

    `keep` is given every page that is shown, and returns it as it is to be shown.
    """

    def __init__(self, *, keep: Callable[[str], str] = lambda page: page) -> None:
        self._keep = keep
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each counter's birth is noise
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._stages = {name: self._histogram(name.replace("_ms", "_seconds"), text) for name, text in _STAGES.items()}
        self._barge_in = self._histogram("barge_in_seconds", "Onset of interrupting speech to its confirmation")
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop ran a timer")
        self._turns = self._counter("turns", "User turns that ended with words")
        self._responses = self._counter("responses", "Responses by how they ended", "status")
        self._calls = self._counter("function_calls", "Functions that the language model has called")
        self._interruptions = self._counter("interruptions", "Speech that paused the agent, by verdict", "verdict")
        self._dropped = self._counter("speculations_dropped", "Prepared responses that were thrown away")
        self._wasted_tokens = self._counter("speculation_wasted_tokens", "Tokens of prepared responses thrown away")
        self._wasted_s = self._counter("speculation_wasted_audio_seconds", "Sound of prepared responses thrown away")
        self._summaries = self._counter("context_summaries", "Summaries of long conversations, by outcome", "outcome")
        self._errors = self._counter("errors", "Errors that clients were told of, by code", "code")
        self._rejected = self._counter("sessions_rejected", "Sessions refused, by reason", "reason")
        self._started = self._counter("sessions", "Sessions begun, by transport", "transport")
        self._requests = self._counter("http_requests", "HTTP requests answered", "method", "route", "status")
        self._active = Gauge("goassist_sessions_active", "Sessions now", registry=self.registry)
        self._level = Gauge(
            "goassist_pressure_level",
            "Level of backpressure, 0 (normal) to 5 (calls are refused)",
            registry=self.registry,
        )
        self._distrusts = Gauge(
            "goassist_endpointing_by_words",
            "Whether new callers' turns end by their words alone, since the turn model doubted others' in vain",
            registry=self.registry,
        )
        self._sound = SoundCounters()
        self.registry.register(self._sound)
        self._observers: dict[type, Callable[[Any], None]] = {
            told.TurnMetrics: self._turn,
            told.TranscriptCompleted: lambda _: self._turns.inc(),
            told.ResponseFinished: lambda finished: self._responses.labels(finished.status).inc(),
            told.FunctionCalled: lambda _: self._calls.inc(),
            told.InterruptionJudged: self._interruption,
            told.SpeculationDropped: self._speculation,
            told.ContextSummarised: lambda made: self._summaries.labels(made.error_code or "made").inc(),
            told.Failed: lambda failed: self.error(failed.code),
        }

    def observe(self, notification: told.Notification) -> None:
        """Count what a session tells."""
        observer = self._observers.get(type(notification))
        if observer is not None:
            observer(notification)

    def watch(
        self, *, sessions: Callable[[], int], ticker: Ticker, level: Callable[[], int], distrusts: Callable[[], bool]
    ) -> None:
        """Read these at each scrape."""
        self._level.set_function(level)
        self._distrusts.set_function(distrusts)
        self._active.set_function(sessions)
        self.registry.register(_FrameLateness(ticker))

    def watch_sound(self, *, detector: VoiceDetector, received: ReceivedSound) -> None:
        """Read these at each scrape, too."""
        self._sound.detector, self._sound.received = detector, received

    def session_started(self, transport: str) -> None:
        """A session begins: over `webrtc`, `websocket` or `http`."""
        self._started.labels(transport).inc()

    def session_rejected(self, reason: str) -> None:
        """A session was refused."""
        self._rejected.labels(reason).inc()

    def error(self, code: str) -> None:
        """A client was told of an error."""
        self._errors.labels(code).inc()

    def request(self, method: str, route: str, status: int) -> None:
        """An HTTP request was answered; `route` is the pattern, so that ids make no series."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()

    def exposition(self) -> bytes:
        """The text format, of media type `CONTENT_TYPE`."""
        return self._keep(generate_latest(self.registry).decode()).encode()

    async def measure_loop_lag(self, note: Callable[[float], None]) -> None:
        """Measure for ever how late timers run, in seconds; `note` is told of each."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            lag_s = max(0.0, loop.time() - due)
            self._lag.observe(lag_s)
            note(lag_s)

    def _turn(self, metrics: told.TurnMetrics) -> None:
        for name, histogram in self._stages.items():
            value_ms = getattr(metrics, name)
            if value_ms is not None:
                histogram.observe(value_ms / 1000)

    def _interruption(self, judged: told.InterruptionJudged) -> None:
        self._interruptions.labels("confirmed" if judged.confirmed else "rejected").inc()
        if judged.confirmed:
            self._barge_in.observe(judged.after_ms / 1000)

    def _speculation(self, dropped: told.SpeculationDropped) -> None:
        self._dropped.inc()
        self._wasted_tokens.inc(dropped.tokens)
        self._wasted_s.inc(dropped.audio_s)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"goassist_{name}", text, registry=self.registry, buckets=LATENCY_BUCKETS_S)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"goassist_{name}", text, labels, registry=self.registry)


class _FrameLateness(Collector):
    """How late audio frames left in the last seconds, as the ticker knows it."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        lateness = self._ticker.lateness()
        family = GaugeMetricFamily(
            "goassist_frame_lateness_seconds", "How late audio frames were in the last 10 s", labels=["quantile"]
        )
        family.add_metric(["0.99"], lateness.p99_s)
        family.add_metric(["1"], lateness.max_s)
        yield family
