"""Speech synthesis by Kokoro-82M (Apache-2.0) over ONNX Runtime, on a GPU or a CPU, with no torch and no download.

The folder `model_path` is a copy of the hub's onnx-community/Kokoro-82M-v1.0-ONNX: the model in `onnx/`, the symbols'
numbers in `tokenizer.json`, and in `voices/` for each voice 510 style vectors of 256 FP32, one for each number of
symbols. The model makes all sound of its input at once, so a request is spoken sentence by sentence, and of a long
first sentence its first clause goes ahead.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines import text as texts
from engines.english import in_words
from engines.errors import ModelSetupError
from engines.espeak import BRITISH, Espeak
from engines.synthesizer import MAX_CHUNK_S, Sound, checked_text, choose, choose_language

SAMPLE_RATE = 24_000
MAX_SYMBOLS = 510
"""Symbols in one input, which also holds a 0 at each end."""
_STYLE = 256
_CHUNK_SAMPLES = int(MAX_CHUNK_S * SAMPLE_RATE)
_PIECE_CHARACTERS = 160
"""About ten seconds of sound: what one run of the model makes at most, before which a cancellation is not seen."""
_FIRST_CLAUSE = re.compile(r".{20,80}?[,;:—–]\s+(?=.{20})")
_QUIET = 0.004
_LEAD_SAMPLES, _TRAIL_SAMPLES = 480, 2_400
"""20 ms of silence kept before the sound of a piece, 100 ms after it; the model makes several times as much."""

ESPEAK_VOICES = {"a": "en-us", "b": BRITISH, "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br"}
"""espeak's voice by the first letter of a voice's name; j (Japanese) and z (Chinese) need phonemes espeak has not."""
LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt"}
_LOOK_UP_S = 0.05
"""How often a running model is left for a look at the caller, who may have gone."""
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_MAX_RUNS = 16
_DEFAULT_VOICE = "af_heart"

Styles = NDArray[np.float32]
"""[510, 256]: row n is the style for an input of n + 1 symbols."""


class Kokoro:
    """The engine; see engines.synthesizer. `languages` are those that the folder has a voice for."""

    sample_rate = SAMPLE_RATE

    def __init__(
        self, folder: Path, *, model_file: str = "onnx/model.onnx", device: str = "cpu", threads: int = 0
    ) -> None:
        self._espeak = Espeak()
        self._symbols = _symbols(folder / "tokenizer.json")
        self._styles = _voices(folder / "voices")
        self._session = _session(folder / model_file, device, threads)
        self._input_names = [tensor.name for tensor in self._session.get_inputs()]
        if len(self._input_names) != 3:
            raise ModelSetupError(f"{folder / model_file} is no Kokoro model: its inputs are {self._input_names}")
        self._running: set[Any] = set()
        self._threads = ThreadPoolExecutor(_MAX_RUNS, thread_name_prefix="kokoro")
        self._closed = threading.Event()
        self.voices = sorted(self._styles, key=lambda name: (name != _DEFAULT_VOICE, name))
        self.languages = list(dict.fromkeys(LANGUAGES[name[0]] for name in self.voices))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "Kokoro":
        """Make the engine from model parameters.

        `model_path` (a folder), `model_file` in it (default onnx/model.onnx), `device` (cpu or cuda),
        `threads` (of one run on a CPU; 0, the default, takes a thread for each core).
        """
        folder = Path(parameters.get("model_path", ""))
        if not parameters.get("model_path") or not folder.is_dir():
            raise ModelSetupError(
                f"Kokoro's weights are not in {str(folder)!r}: run `goassist models pull kokoro`, or set model_path in "
                "the tts model's configuration"
            )
        return cls(
            folder,
            model_file=parameters.get("model_file", "onnx/model.onnx"),
            device=parameters.get("device", "cpu"),
            threads=int(parameters.get("threads", "0")),
        )

    def synthesize(self, text: str, *, voice: str | None, language: str | None, speed: float) -> Sound:
        """Return the sound of `text`, sentence by sentence.

        Without a voice the first one of the language speaks. A voice reads any of the languages, with its own accent.
        """
        checked_text(text, speed)
        chosen = choose_language(language, self.languages)
        fluent = [name for name in self.voices if LANGUAGES[name[0]] == chosen] if language else self.voices
        name = choose("voice", voice, self.voices) if voice else fluent[0]
        reader = (name if name in fluent else fluent[0])[0]
        spoken = texts.spoken_text(text)
        if LANGUAGES[reader] == "en":
            spoken = in_words(spoken, day_first=ESPEAK_VOICES[reader] == BRITISH)
        return self._stream(spoken, self._styles[name], ESPEAK_VOICES[reader], speed)

    def close(self) -> None:
        """End running syntheses: each iterator stops within a few milliseconds."""
        self._closed.set()
        for run in tuple(self._running):
            run.terminate = True
        self._threads.shutdown(cancel_futures=True)

    def _stream(self, text: str, styles: Styles, espeak_voice: str, speed: float) -> Sound:
        for piece in _pieces(text):
            if texts.is_silent(piece):
                continue
            for symbols in self._encoded(piece, espeak_voice):
                if self._closed.is_set():
                    return
                for sound in self._sound(symbols, styles, speed):
                    samples = np.clip(_trimmed(sound) * 32_767.0, -32_768, 32_767).astype(np.int16)
                    for start in range(0, max(1, len(samples)), _CHUNK_SAMPLES):
                        yield samples[start : start + _CHUNK_SAMPLES]

    def _encoded(self, piece: str, espeak_voice: str) -> Iterator[list[int]]:
        """Yield the numbers of the symbols of `piece`, in several parts where it has too many for one input."""
        phonemes = self._espeak.phonemes(piece, espeak_voice)
        phonemes = "".join(symbol for symbol in phonemes if symbol in self._symbols)
        while phonemes:
            head = phonemes[:MAX_SYMBOLS]
            if len(phonemes) > MAX_SYMBOLS and " " in head:
                head = head[: head.rindex(" ") + 1]
            phonemes = phonemes[len(head) :]
            yield [self._symbols[symbol] for symbol in head]

    def _sound(self, symbols: list[int], styles: Styles, speed: float) -> Iterator[NDArray[np.float32]]:
        """Run the model once; yield its sound, and before that an empty array now and then while it computes."""
        values = (
            np.array([[0, *symbols, 0]], np.int64),
            styles[len(symbols) - 1][np.newaxis],
            np.array([speed], np.float32),
        )
        run = onnxruntime.RunOptions()
        self._running.add(run)
        job = self._threads.submit(self._session.run, None, dict(zip(self._input_names, values, strict=True)), run)
        try:
            while not wait((job,), timeout=_LOOK_UP_S).done:
                yield np.empty(0, np.float32)
            if not self._closed.is_set():
                yield cast(NDArray[np.float32], job.result()[0]).ravel()
        finally:
            run.terminate = True  # of use where the caller closes this generator; a run that is over ignores it
            job.cancel()
            self._running.discard(run)


def _pieces(text: str) -> Iterator[str]:
    first = True
    for sentence in texts.sentences(text, limit=_PIECE_CHARACTERS):
        clause = _FIRST_CLAUSE.match(sentence) if first else None
        first = False
        if clause:
            yield clause[0]
            sentence = sentence[clause.end() :]
        yield sentence


def _trimmed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    audible = np.flatnonzero(np.abs(sound) >= _QUIET)
    if not len(audible):
        return sound[:0]
    return sound[max(0, audible[0] - _LEAD_SAMPLES) : audible[-1] + _TRAIL_SAMPLES]


def _symbols(path: Path) -> dict[str, int]:
    try:
        return cast(dict[str, int], json.loads(path.read_text("utf-8"))["model"]["vocab"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelSetupError(f"Kokoro's table of symbols cannot be read from {path}: {error!r}") from error


def _voices(folder: Path) -> dict[str, Styles]:
    """Map the voices of `folder` to their styles [510, 256]; those of languages that cannot be read are left out."""
    styles: dict[str, Styles] = {}
    for path in sorted(folder.glob("*.bin")):
        if path.stem[0] in LANGUAGES:
            values = np.fromfile(path, np.float32)
            if values.size != MAX_SYMBOLS * _STYLE:
                raise ModelSetupError(f"{path} is no Kokoro voice: {values.size} numbers, not {MAX_SYMBOLS * _STYLE}")
            styles[path.stem] = values.reshape(MAX_SYMBOLS, _STYLE)
    if not styles:
        raise ModelSetupError(f"there is no Kokoro voice in {folder}: run `goassist models pull kokoro`")
    return styles


def _session(path: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    provider = _PROVIDERS.get(device)
    if provider is None:
        raise ModelSetupError(f"Kokoro: device is {device!r}; it can be: {', '.join(_PROVIDERS)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Without this a CPU's threads spin between two runs and take the cores of the models beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    except (onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile, ValueError) as error:
        raise ModelSetupError(f"Kokoro cannot be loaded from {path} on {device}: {error}") from error
    if provider not in session.get_providers():  # ONNX Runtime falls back to the CPU with no more than a warning
        raise ModelSetupError(
            f"Kokoro: this ONNX Runtime cannot use a {device} device (it has {', '.join(session.get_providers())}): "
            "install onnxruntime-gpu with its CUDA libraries, or set the parameter device to cpu"
        )
    return session
