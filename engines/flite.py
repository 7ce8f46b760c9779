"""Speech synthesis by flite (Debian's libflite1): four English voices, no download, about 50 times faster than speech.

flite calls back with every 35 ms of sound while it still synthesizes, and stops when the callback returns -1
(include/flite/cst_audio.h of flite 2.2). Its voices are not re-entrant: each has one thread of its own.
"""

import ctypes
import queue
import threading
import unicodedata
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from engines import metrics
from engines import text as texts
from engines.english import in_words
from engines.errors import InvalidInputError, ModelSetupError
from engines.synthesizer import MAX_CHUNK_S, Samples, Sound, checked_text, choose, choose_language

VOICES = ("slt", "rms", "awb", "kal16")
SAMPLE_RATE = 16_000
_MAX_CHUNK_SAMPLES = int(MAX_CHUNK_S * SAMPLE_RATE)
_CALLBACK_SAMPLES = 560
"""flite calls back with at least so many samples, 35 ms: early enough, and few enough calls."""
_LEAD_SAMPLES = 320
"""Silence kept before the first sound of a request; flite makes up to 250 ms of it, all of which would be latency."""
_SILENCE_LEVEL = 300
_LONGEST_WORD = 40
"""Characters; flite spends quadratic time on the letters of one word."""
_STOP, _CONTINUE = -1, 0

# NFKD does not take these apart. The look-alikes are what the table is for, hence noqa.
_IN_ASCII = {
    "ßæÆœŒøØłŁđĐðÐþÞ": ["ss", "ae", "Ae", "oe", "Oe", "o", "O", "l", "L", "d", "D", "th", "Th", "th", "Th"],
    "‘’‚“”„−": ["'", "'", ",", '"', '"', '"', "-"],  # noqa: RUF001
    "–—…。！？，": [", ", ", ", "...", ". ", "! ", "? ", ", "],
    "©®™": [" copyright ", "", ""],
}
_TO_ASCII = str.maketrans(
    {key: value for keys, values in _IN_ASCII.items() for key, value in zip(keys, values, strict=True)}
)


class _Wave(ctypes.Structure):
    """cst_wave of cst_wave.h."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


_StreamCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Wave), ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)


class _StreamingInfo(ctypes.Structure):
    """cst_audio_streaming_info of cst_audio.h."""

    _fields_ = (
        ("min_buffsize", ctypes.c_int),
        ("asc", _StreamCallback),
        ("utt", ctypes.c_void_p),
        ("item", ctypes.c_void_p),
        ("userdata", ctypes.c_void_p),
    )


class _VoiceHead(ctypes.Structure):
    """The first members of cst_voice of cst_voice.h."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)  # the voices look up the language's symbols globally
    except OSError as error:
        raise ModelSetupError(f"flite is not installed ({error}): apt-get install libflite1") from error


def _flite() -> ctypes.CDLL:
    library = _library("libflite.so.1")
    for part in ("usenglish", "cmulex"):
        _library(f"libflite_{part}.so.1")
    library.new_audio_streaming_info.restype = ctypes.POINTER(_StreamingInfo)
    library.audio_streaming_info_val.argtypes = [ctypes.POINTER(_StreamingInfo)]
    library.audio_streaming_info_val.restype = ctypes.c_void_p
    library.flite_feat_set.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.flite_feat_set.restype = None
    library.flite_feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
    library.flite_feat_set_float.restype = None
    library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
    library.delete_wave.restype = None
    library.flite_init()
    return library


Emit = Callable[[Samples], bool]
"""Takes a piece of sound; returns whether more is wanted."""


class _Voice:
    """One voice and the thread that is its only user."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        register = getattr(_library(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
        register.argtypes = [ctypes.c_char_p]
        register.restype = ctypes.POINTER(_VoiceHead)
        self._library = library
        self._voice = register(None)
        self._features = self._voice.contents.features
        self._callback = _StreamCallback(self._piece)  # flite keeps only the address
        self._emit: Emit = lambda _samples: False
        info = library.new_audio_streaming_info()
        info.contents.min_buffsize = _CALLBACK_SAMPLES
        info.contents.asc = self._callback
        library.flite_feat_set(self._features, b"streaming_info", library.audio_streaming_info_val(info))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"flite-{name}")

    def speak(self, sentence: str, speed: float, emit: Emit) -> Future[None]:
        """Synthesize ASCII `sentence` after what the voice has to say already."""
        return self._thread.submit(self._speak, sentence, speed, emit)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _speak(self, sentence: str, speed: float, emit: Emit) -> None:
        self._emit = emit
        emit(np.empty(0, np.int16))  # the voice is free now
        self._library.flite_feat_set_float(self._features, b"duration_stretch", 1 / speed)
        wave = self._library.flite_text_to_wave(sentence.encode("ascii"), self._voice)
        if not wave:
            raise RuntimeError(f"flite could not synthesize {sentence!r}")
        self._library.delete_wave(wave)

    def _piece(self, wave: Any, start: int, size: int, _last: int, _info: int | None) -> int:
        samples = np.ctypeslib.as_array(wave.contents.samples, (start + size,))[start:]
        return _CONTINUE if self._emit(samples.astype(np.int16)) else _STOP


class Flite:
    """The engine. `voices` limits which are loaded; the first is the default."""

    sample_rate = SAMPLE_RATE
    languages = ("en",)

    def __init__(self, voices: tuple[str, ...] = VOICES) -> None:
        unknown = set(voices) - set(VOICES)
        if unknown or not voices:
            named = ", ".join(sorted(unknown)) or "none"
            raise ModelSetupError(f"flite has the voices {', '.join(VOICES)}; the parameter 'voices' names {named}")
        self.voices = voices
        library = _flite()
        self._voices = {name: _Voice(library, name) for name in voices}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "Flite":
        """Make the engine from model parameters: `voices`, names separated by commas."""
        return cls(tuple(parameters["voices"].replace(" ", "").split(","))) if parameters.get("voices") else cls()

    def synthesize(self, text: str, *, voice: str | None, language: str | None, speed: float) -> Sound:
        """Return the sound of `text`, sentence by sentence; see engines.synthesizer.

        A text of emoji or punctuation alone gives no chunk. Scripts other than Latin cannot be said by these voices:
        they are left out, and a text of nothing else raises InvalidInputError.
        """
        checked_text(text, speed)
        choose_language(language, self.languages)
        chosen = self._voices[choose("voice", voice, self.voices)]
        spoken = texts.spoken_text(text)
        ascii_text = _in_ascii(in_words(spoken))
        if texts.is_silent(ascii_text) and not texts.is_silent(spoken):
            raise InvalidInputError("flite speaks English only, and the text has no Latin letter or digit")
        return _stream(chosen, ascii_text, speed)

    def close(self) -> None:
        """End the voices' threads; what they say now is finished first."""
        for voice in self._voices.values():
            voice.close()


def _in_ascii(text: str) -> str:
    """`text` in the characters that flite's English reads: accents dropped, words of a bearable length."""
    text = "".join(map(_ascii_of, text.translate(_TO_ASCII)))
    return " ".join(
        word[start : start + _LONGEST_WORD] for word in text.split() for start in range(0, len(word), _LONGEST_WORD)
    )


def _ascii_of(character: str) -> str:
    """What ASCII has of `character`; a space where it has nothing, lest two numbers become one."""
    if character.isascii():
        return character
    if character.isdecimal():  # a digit of another script
        return str(unicodedata.decimal(character))
    parts = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if character.isnumeric():  # ① and the like
        return f" {parts} "
    return parts or ("" if unicodedata.combining(character) else " ")


def _stream(voice: _Voice, text: str, speed: float) -> Sound:
    first = True
    for sentence in texts.sentences(text):
        if not texts.is_silent(sentence):
            yield from _sentence(voice, sentence, speed, trim=first)
            first = False


def _sentence(voice: _Voice, sentence: str, speed: float, *, trim: bool) -> Sound:
    """Yield the first piece of sound as soon as there is one, then 200 ms (about 4 ms of work) at a time."""
    pieces: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()  # one sentence at most, hence bounded
    stopped = threading.Event()

    def emit(samples: Samples) -> bool:
        pieces.put(samples)
        return not stopped.is_set()

    job = voice.speak(sentence, speed, emit)
    job.add_done_callback(lambda _job: pieces.put(None))
    try:
        waiting = np.empty(0, np.int16)
        enough = 1
        with metrics.waiting():
            piece = pieces.get()
        while piece is not None:
            if trim:
                piece = _from_first_sound(piece)
                trim = not len(piece)
            waiting = np.concatenate((waiting, piece))
            while len(waiting) >= enough:
                yield waiting[:_MAX_CHUNK_SAMPLES]
                waiting = waiting[_MAX_CHUNK_SAMPLES:]
                enough = _MAX_CHUNK_SAMPLES
            piece = pieces.get()
        if len(waiting):
            yield waiting
        job.result()
    finally:
        stopped.set()
        job.cancel()


def _from_first_sound(samples: Samples) -> Samples:
    """The samples from shortly before the first audible one; none where all are silent."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) >= _SILENCE_LEVEL)
    return samples[max(0, audible[0] - _LEAD_SAMPLES) :] if len(audible) else samples[:0]
