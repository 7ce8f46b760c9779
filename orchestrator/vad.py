"""Voice activity detection: the Silero ONNX model, evaluated for all sessions in one batched call.

The model file comes out of the silero-vad wheel, whose Python code is never imported: it needs torch,
the ONNX file does not. Windows are 512 samples at 16 kHz, preceded by the last 64 samples of the window
before; the recurrent state of a stream is [2, 128] floats. Each stream owns one slot of preallocated
state arrays, so a pass gathers and scatters rows and allocates nothing that grows with time.

A call of the model costs 0.08 ms for one window and 0.034 ms a window for many. So where there are many streams a
window waits a few milliseconds for those of others.
"""

import asyncio
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)

from orchestrator.errors import ConfigurationError

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 512  # the model accepts no other length at 16 kHz
CONTEXT_SAMPLES = 64
STATE_SIZE = 128
WINDOW_BYTES = 2 * WINDOW_SAMPLES
# A window whose loudest sample is under this (-60 dB of full scale) holds no speech that anyone could understand.
QUIET_PEAK = 32
BACKLOG_BYTES = 60 * 2 * SAMPLE_RATE
INT16_TO_FLOAT = np.float32(1 / 32768)
SILENT_DB = -100.0
# How long a window waits for others, by the number of open streams: 50 streams give 16 windows in 10 ms. A few do not
# wait, since they would seldom meet.
WAIT_PER_STREAM_S = 0.0002
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.001, 0.010
# Reports a window: the probability of speech (0 to 1), its level in dB of full scale, and the samples since `open` at
# its end.
Report = Callable[[float, float, int], None]

# The wheel carries the same network several times; this export has no `If` node around the sample rate,
# which makes a batch of one 40 % cheaper. Its probabilities differ from the others' by less than 1e-6.
MODEL_FILE = "silero_vad_op18_ifless.onnx"

# onnxruntime gives its errors no common base and no public name.
LOAD_ERRORS = (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile, RuntimeException)


def silero_model_path() -> Path:
    """The model file in the installed silero-vad wheel; ConfigurationError where there is none."""
    spec = importlib.util.find_spec("silero_vad")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder, "data", MODEL_FILE)
        if path.is_file():
            return path
    raise ConfigurationError(
        f"voice detection needs {MODEL_FILE} out of the silero-vad wheel, which is not installed: "
        "run `pip install --no-deps -r requirements/no-deps.txt`"
    )


class VoiceStream:
    """The microphone of one session, as the detector sees it."""

    __slots__ = ("_audio", "_closed", "_delivered_sample", "_detector", "_end_sample", "_report", "_slot")

    def __init__(self, detector: "VoiceDetector", slot: int, report: Report) -> None:
        self._detector = detector
        self._slot = slot
        self._report = report
        self._audio = bytearray()
        self._end_sample = 0
        self._delivered_sample = 0
        self._closed = False

    @property
    def behind(self) -> bool:
        """Whether sound was pushed that is still to be reported on."""
        return not self._closed and (len(self._audio) >= WINDOW_BYTES or self._delivered_sample < self._end_sample)

    def push(self, pcm16_16k: bytes) -> None:
        """Add sound of any length; never blocks. Of more than 60 s waiting the oldest is skipped, but still counted."""
        if self._closed:
            return
        self._audio += pcm16_16k
        if len(self._audio) >= WINDOW_BYTES:
            excess = len(self._audio) - BACKLOG_BYTES
            if excess > 0:
                windows = -(-excess // WINDOW_BYTES)
                del self._audio[: windows * WINDOW_BYTES]
                self._end_sample += windows * WINDOW_SAMPLES
            self._detector._window_ready(self)

    def close(self) -> None:
        """Give the slot back. No probability is delivered after this, not even one already computed."""
        if not self._closed:
            self._closed = True
            self._detector._release(self)

    def _take_window(self) -> bytes:
        window = bytes(self._audio[:WINDOW_BYTES])
        del self._audio[:WINDOW_BYTES]
        self._end_sample += WINDOW_SAMPLES
        return window

    def _deliver(self, probability: float, level_db: float, end_sample: int) -> None:
        if not self._closed:
            self._delivered_sample = end_sample
            self._report(probability, level_db, end_sample)


class VoiceDetector:
    """One Silero session per process, shared by all streams. Use it from one event loop.

    A pass evaluates one window of every stream that has a full one; a stream with more waits for the next pass of the
    event loop, so that a long push never holds up the other sessions. `calls`, `windows` and `busy_s` count the
    model's calls, all windows and the seconds that both took.
    """

    def __init__(self, model_path: Path | None = None, *, capacity: int = 32) -> None:
        """Load the model (ConfigurationError where it is missing or broken); `capacity` streams fit without growing."""
        self.model_path = model_path or silero_model_path()
        options = onnxruntime.SessionOptions()
        # The caller is the event loop's thread: a thread pool would cost more in hand-overs than it saves.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; the export's unused initializers are warned of at every start
        try:
            self._model = onnxruntime.InferenceSession(self.model_path, options, providers=["CPUExecutionProvider"])
        except LOAD_ERRORS as error:
            raise ConfigurationError(f"voice detection cannot load {self.model_path}: {error}") from error
        self._sample_rate = np.array(SAMPLE_RATE, np.int64)
        self._state = np.zeros((2, capacity, STATE_SIZE), np.float32)
        self._context = np.zeros((capacity, CONTEXT_SAMPLES), np.float32)
        self._free = list(range(capacity))[::-1]
        self._open = 0
        self._ready: dict[VoiceStream, None] = {}  # a dict keeps the order of arrival
        self._pass: asyncio.Handle | None = None
        self.calls = 0
        self.windows = 0
        self.busy_s = 0.0

    def open(self, report: Report) -> VoiceStream:
        """A stream that reports each of its windows.

        The callback runs on the event loop, in a step of its own: what it raises reaches the loop's
        exception handler and no other session.
        """
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._state[:, slot] = 0
        self._context[slot] = 0
        self._open += 1
        return VoiceStream(self, slot, report)

    def _grow(self) -> None:
        capacity = self._context.shape[0]
        self._state = np.concatenate([self._state, np.zeros_like(self._state)], axis=1)
        self._context = np.concatenate([self._context, np.zeros_like(self._context)])
        self._free.extend(reversed(range(capacity, 2 * capacity)))

    def _release(self, stream: VoiceStream) -> None:
        self._ready.pop(stream, None)
        self._free.append(stream._slot)
        self._open -= 1

    def _window_ready(self, stream: VoiceStream) -> None:
        self._ready[stream] = None
        if self._pass is None:
            loop = asyncio.get_running_loop()
            wait_s = min(self._open * WAIT_PER_STREAM_S, LONGEST_WAIT_S)
            if wait_s < SHORTEST_WAIT_S:
                self._pass = loop.call_soon(self._evaluate)
            else:
                self._pass = loop.call_later(wait_s, self._evaluate)

    def _evaluate(self) -> None:
        """One window of every ready stream, in one call of the model."""
        self._pass = None
        streams = list(self._ready)
        if not streams:
            return
        self._ready.clear()
        began = time.perf_counter()
        sound = np.frombuffer(b"".join([stream._take_window() for stream in streams]), np.dtype("<i2"))
        windows = sound.reshape(len(streams), WINDOW_SAMPLES)
        probabilities, levels_db = self._judge(np.array([stream._slot for stream in streams]), windows)
        self.windows += len(streams)
        self.busy_s += time.perf_counter() - began

        loop = asyncio.get_running_loop()
        for stream, probability, level_db in zip(streams, probabilities.tolist(), levels_db.tolist(), strict=True):
            loop.call_soon(stream._deliver, probability, level_db, stream._end_sample)
            if len(stream._audio) >= WINDOW_BYTES:
                self._ready[stream] = None
        if self._ready:  # what is behind already waits for nobody
            self._pass = loop.call_soon(self._evaluate)

    def _judge(
        self, slots: npt.NDArray[np.intp], windows: npt.NDArray[np.int16]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The probability of speech in each window [N, 512], and its level. What is too quiet is not evaluated."""
        probabilities = np.zeros(len(slots), np.float32)
        levels_db = np.full(len(slots), SILENT_DB, np.float32)
        loud = (windows.max(axis=1) >= QUIET_PEAK) | (windows.min(axis=1) <= -QUIET_PEAK)
        sound, quiet = np.flatnonzero(loud), np.flatnonzero(~loud)
        if quiet.size:
            # After silence the model begins as it does with a new call.
            self._state[:, slots[quiet]] = 0
            self._context[slots[quiet]] = windows[quiet, -CONTEXT_SAMPLES:] * INT16_TO_FLOAT
        if sound.size:
            heard = slots[sound]
            batch = np.empty((sound.size, CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
            batch[:, :CONTEXT_SAMPLES] = self._context[heard]
            samples = batch[:, CONTEXT_SAMPLES:]
            np.multiply(windows[sound], INT16_TO_FLOAT, out=samples)
            levels_db[sound] = 10 * np.log10(np.einsum("ij,ij->i", samples, samples) / WINDOW_SAMPLES)
            feed = {"input": batch, "state": self._state[:, heard], "sr": self._sample_rate}
            found, state = self._model.run(["output", "stateN"], feed)
            self._state[:, heard] = state
            self._context[heard] = batch[:, -CONTEXT_SAMPLES:]
            probabilities[sound] = found[:, 0]
            self.calls += 1
        return probabilities, levels_db
