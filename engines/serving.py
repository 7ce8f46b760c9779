"""Triton's Python backend as engines see it: parameters, tensors in, chunks out, one final flag, metrics.

The only importer of triton_python_backend_utils beside engines/bls.py. A model that streams (engines/streams.py) is
this much:

    from collections.abc import Generator
    from engines.errors import InvalidInputError
    from engines.serving import Chunk, Model, Request
    from engines.streams import Streams

    class TritonPythonModel:
        def initialize(self, args: dict[str, str]) -> None:
            model = Model(args)
            self._voice = model.parameters.text("voice", "slt")     # of config.pbtxt
            self._streams = Streams(model, self._speak, workers=model.parameters.integer("workers", 4))

        def execute(self, requests: list[object]) -> None:
            self._streams.accept(requests)

        def finalize(self) -> None:
            self._streams.close()

        def _speak(self, request: Request) -> Generator[Chunk, None, None]:  # runs in a worker thread
            text = request.text("text")                             # required: InvalidInputError where missing
            speed = request.number("speed", 1.0)                    # optional
            if not text.strip():
                raise InvalidInputError("text is empty")            # answered as a Triton error INVALID_ARG
            for pcm16 in synthesize(text, speed):                   # closed when the caller cancels
                request.audio_out_s += len(pcm16) / 16_000          # for the metrics
                yield {"audio": pcm16, "sample_rate": 16_000}       # one response; types are those of config.pbtxt

Every request gets exactly one final flag, whatever happens. Cancellation is looked at after each chunk; the
generator is closed in place of the next, so that its `finally` blocks stop the engine. An engine that computes
long between chunks may ask `request.cancelled` itself.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from engines import metrics
from engines.calls import CANCEL_PARAMETER
from engines.errors import CancelledError, EngineError, EngineUnavailableError, InvalidInputError
from engines.parameters import Parameters

LOGGER = logging.getLogger(__name__)

# Output name → value. Scalars and strings become tensors of one element.
Chunk = Mapping[str, npt.NDArray[Any] | str | bytes | bool | int | float]

# How often a stream asks the server whether its caller has gone: each question goes through shared memory.
CANCEL_CHECK_S = 0.02

_FIRST_CHUNK_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
# The stub adds its classes to pb_utils after it has imported the model's file: names of codes, not the codes.
_CODES = {InvalidInputError: "INVALID_ARG", EngineUnavailableError: "UNAVAILABLE"}


class Model:
    """One model instance: its name, folder, parameters and metrics, from what Triton gives to initialize().

    Records of Python's logging go to Triton's log from here on.
    """

    def __init__(self, args: Mapping[str, str]) -> None:
        self.name = args["model_name"]
        self.folder = Path(args["model_repository"]) / args["model_version"]
        self.config: dict[str, Any] = json.loads(args["model_config"])
        values = {key: value["string_value"] for key, value in self.config.get("parameters", {}).items()}
        self.parameters = Parameters(self.name, values)
        self.batched = self.config["max_batch_size"] > 0
        self.output_types = {
            output["name"]: pb_utils.triton_string_to_numpy(output["data_type"]) for output in self.config["output"]
        }
        self.metrics = Metrics(self.name, self.config)
        self.running: dict[str, Request] = {}  # by request id, for those that have one
        _log_to_triton()

    def open(self, requests: Iterable[Any]) -> list["Request"]:
        """What execute() was given, as requests that must each be finished or failed.

        Requests that cancel others are carried out here and not returned.
        """
        opened = []
        for each in requests:
            request = Request(self, each)
            if (other := request.parameter(CANCEL_PARAMETER)) is not None:
                if other in self.running:
                    self.running[other].cancel()
                request.dismiss()
            else:
                opened.append(request)
        return opened


class Request:
    """One inference request and its response stream. Methods may be called from any thread.

    `audio_in_s`, `audio_out_s` and `engine_s` (seconds of sound and of computing) are added up by the model
    and reach the metrics when the request ends.
    """

    def __init__(self, model: Model, request: Any) -> None:
        self.audio_in_s = 0.0
        self.audio_out_s = 0.0
        self.engine_s = 0.0
        self._model = model
        self._request = request  # owns the memory of the input tensors
        self._sender = request.get_response_sender()
        self._opened_at = time.monotonic()
        self._first_chunk_s: float | None = None
        self._lock = threading.Lock()
        self._finished = False
        self._cancelled = False
        self._asked_at = self._opened_at
        self._id = str(request.request_id())
        if self._id and CANCEL_PARAMETER not in request.parameters():
            model.running[self._id] = self

    @property
    def sequence_id(self) -> int:
        """The correlation id of the sequence, 0 outside of one."""
        return int(self._request.correlation_id())

    @property
    def starts_sequence(self) -> bool:
        """Whether this is the first request of its sequence."""
        return bool(self._request.flags() & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START)

    @property
    def ends_sequence(self) -> bool:
        """Whether this is the last request of its sequence."""
        return bool(self._request.flags() & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END)

    @property
    def cancelled(self) -> bool:
        """Whether the caller has gone, as of the last CANCEL_CHECK_S."""
        now = time.monotonic()
        if not self._cancelled and now - self._asked_at >= CANCEL_CHECK_S:
            self._asked_at = now
            with metrics.channel:
                if self._sender.is_cancelled():  # not assigned: meanwhile `cancel` may have been called
                    self._cancelled = True
        return self._cancelled

    def cancel(self) -> None:
        """The caller wants no more of this; `cancelled` tells the model."""
        self._cancelled = True

    def dismiss(self) -> None:
        """End the response stream without a response, and without counting the request."""
        self._end(None)

    def parameter(self, name: str) -> Any:
        """A parameter that the caller added to the request, None where it did not."""
        return json.loads(self._request.parameters()).get(name)

    def has(self, name: str) -> bool:
        """Whether the optional input is there."""
        return pb_utils.get_input_tensor_by_name(self._request, name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A STRING [1] input; without a default it is required."""
        element = self._element(name, default)
        if isinstance(element, str):
            return element
        try:
            return bytes(element).decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"input '{name}' is not valid UTF-8 text") from error

    def flag(self, name: str, default: bool) -> bool:
        """A BOOL [1] input."""
        return bool(self._element(name, default))

    def number(self, name: str, default: float) -> float:
        """A numeric [1] input."""
        return float(self._element(name, default))

    def samples(self, name: str) -> npt.NDArray[np.int16]:
        """An INT16 [-1] input, required; a copy that outlives the request."""
        return self._tensor(name).astype(np.int16, copy=True).reshape(-1)

    def send(self, chunk: Chunk) -> None:
        """Sends one response; CancelledError where the caller has gone, as far as is known."""
        if self._cancelled:
            raise CancelledError(f"the request to '{self._model.name}' was cancelled")
        response = self._response(chunk)
        ready_s = time.monotonic() - self._opened_at  # what follows is Triton's: a round trip through shared memory
        with self._lock:
            if self._finished:
                raise EngineUnavailableError(f"the model '{self._model.name}' is being unloaded")
            self._sender.send(response)
        if self._first_chunk_s is None:
            self._first_chunk_s = ready_s
        _ = self.cancelled  # for the next chunk: asking takes up to a millisecond, for which this one need not wait

    def finish(self, chunk: Chunk | None = None) -> None:
        """Ends the response stream, with a last chunk where there is one. Later calls do nothing."""
        if chunk is not None and self._first_chunk_s is None:
            self._first_chunk_s = time.monotonic() - self._opened_at
        if self._end(self._response(chunk) if chunk is not None else None):
            self._model.metrics.count(self, self._first_chunk_s)

    def fail(self, error: BaseException) -> None:
        """Ends the response stream with a Triton error; a cancelled one just ends. Later calls do nothing.

        Triton streams an error as text without its code, so those that are not the request's fault begin with theirs.
        """
        if isinstance(error, CancelledError):
            if self._end(None):
                self._model.metrics.count(self, self._first_chunk_s)
                self._model.metrics.cancelled.increment(1)
            return
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "INTERNAL")
        text = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        if code != "INVALID_ARG":
            text = f"{code}: {text}"
        triton_error = pb_utils.TritonError(text, getattr(pb_utils.TritonError, code))
        if self._end(pb_utils.InferenceResponse([], triton_error)):
            self._model.metrics.count(self, self._first_chunk_s)
            self._model.metrics.failed.increment(1)
            if not isinstance(error, EngineError):
                LOGGER.error("the model '%s' failed", self._model.name, exc_info=error)

    def _end(self, response: Any) -> bool:
        with self._lock:
            first, self._finished = not self._finished, True
            if self._model.running.get(self._id) is self:  # not a later request's that was given the same id
                del self._model.running[self._id]
            if first:
                final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
                if response is None:
                    self._sender.send(flags=final)
                else:
                    self._sender.send(response, flags=final)
        return first

    def _response(self, chunk: Chunk) -> Any:
        tensors = []
        for name, value in chunk.items():
            dtype = self._model.output_types[name]
            if dtype is np.object_ and not isinstance(value, np.ndarray):
                value = np.array([value.encode() if isinstance(value, str) else value], dtype=np.object_)
            array = np.ascontiguousarray(np.atleast_1d(value), dtype=dtype)
            tensors.append(pb_utils.Tensor(name, array[np.newaxis] if self._model.batched else array))
        return pb_utils.InferenceResponse(tensors)

    def _tensor(self, name: str) -> npt.NDArray[Any]:
        tensor = pb_utils.get_input_tensor_by_name(self._request, name)
        if tensor is None:
            raise InvalidInputError(f"the model '{self._model.name}' needs the input '{name}'")
        array: npt.NDArray[Any] = tensor.as_numpy()
        return array

    def _element(self, name: str, default: Any) -> Any:
        if default is not None and not self.has(name):
            return default
        array = self._tensor(name)
        if array.size != 1:
            raise InvalidInputError(f"input '{name}' must have one element, it has {array.size}")
        return array.reshape(-1)[0]


class Metrics:
    """What every model counts on Triton's /metrics page, prefixed `goassist_<model>_`.

    Sound only where the model has an input or output named `audio`.
    """

    def __init__(self, model: str, config: Mapping[str, Any]) -> None:
        self._prefix = f"goassist_{model}"
        self._publisher = metrics.Publisher()
        self.cancelled = self.counter("cancelled_total", "Requests that the caller cancelled")
        self.failed = self.counter("failed_total", "Requests answered with an error")
        self._engine_s = self.counter("engine_seconds_total", "Seconds that the engine computed")
        histogram = self._family("first_chunk_seconds", "Seconds from request to first response", "HISTOGRAM")
        self._first_chunk = histogram.metric(buckets=_FIRST_CHUNK_BUCKETS_S)
        hears = any(tensor["name"] == "audio" for tensor in config["input"])
        speaks = any(tensor["name"] == "audio" for tensor in config["output"])
        self._audio_in_s = self.counter("audio_input_seconds_total", "Seconds of sound received") if hears else None
        self._audio_out_s = self.counter("audio_output_seconds_total", "Seconds of sound sent") if speaks else None
        self._real_time_factor: metrics.Metric | None = None
        self._computed_per_sound = metrics.Ratio()
        if hears or speaks:
            gauge = self._family("real_time_factor", "Seconds computed per second of the last minute of sound", "GAUGE")
            self._real_time_factor = gauge.metric()

    def count(self, request: Request, first_chunk_s: float | None) -> None:
        """Adds a request that has ended."""
        if first_chunk_s is not None:
            self._first_chunk.observe(first_chunk_s)
        if request.engine_s:
            self._engine_s.increment(request.engine_s)
        if self._audio_in_s and request.audio_in_s:
            self._audio_in_s.increment(request.audio_in_s)
        if self._audio_out_s and request.audio_out_s:
            self._audio_out_s.increment(request.audio_out_s)
        audio_s = request.audio_out_s if self._audio_out_s else request.audio_in_s
        factor = self._computed_per_sound.add(request.engine_s, audio_s)
        if self._real_time_factor and factor is not None:
            self._real_time_factor.set(factor)

    def counter(self, name: str, description: str) -> metrics.Metric:
        """A counter of this model's own, `name` without the prefix."""
        return self._family(name, description, "COUNTER").metric()

    def foreign(self, name: str, description: str, kind: str) -> metrics.Family:
        """A family under the full name that another program gave it; `kind` is COUNTER, GAUGE or HISTOGRAM."""
        with metrics.channel:
            family = pb_utils.MetricFamily(
                name=name, description=description, kind=getattr(pb_utils.MetricFamily, kind)
            )
        return metrics.Family(family, self._publisher)

    def _family(self, name: str, description: str, kind: str) -> metrics.Family:
        return self.foreign(f"{self._prefix}_{name}", description, kind)


class _TritonHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = pb_utils.Logger
        write = log.log_info if record.levelno < logging.WARNING else log.log_warn
        if record.levelno >= logging.ERROR:
            write = log.log_error
        text = self.format(record)
        with metrics.channel:
            write(text)


def _log_to_triton() -> None:
    root = logging.getLogger()
    if not any(isinstance(handler, _TritonHandler) for handler in root.handlers):
        root.addHandler(_TritonHandler())
        root.setLevel(logging.INFO)
