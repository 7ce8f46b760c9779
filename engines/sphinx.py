"""pocketsphinx's C interface (include/pocketsphinx.h of 5.1) through ctypes, out of the wheel's own library.

The wheel's Python classes hold the interpreter lock while they decode, so that two decoders take turns. Foreign
functions release it: two threads with a decoder each decode at once.
"""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pocketsphinx import _pocketsphinx, get_model_path

from engines.errors import ModelSetupError

FRAMES_PER_S = 100
_OBJECT, _TEXT, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_INTS, _FLOATS = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_float)
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ps_config_init": (_OBJECT, (_OBJECT,)),
    "ps_config_set_str": (_OBJECT, (_OBJECT, _TEXT, _TEXT)),
    "ps_config_set_int": (_OBJECT, (_OBJECT, _TEXT, ctypes.c_long)),
    "ps_config_free": (_INT, (_OBJECT,)),
    "ps_init": (_OBJECT, (_OBJECT,)),
    "ps_free": (_INT, (_OBJECT,)),
    "ps_start_stream": (_INT, (_OBJECT,)),
    "ps_start_utt": (_INT, (_OBJECT,)),
    "ps_process_raw": (_INT, (_OBJECT, _TEXT, ctypes.c_size_t, _INT, _INT)),
    "ps_end_utt": (_INT, (_OBJECT,)),
    "ps_get_hyp": (_TEXT, (_OBJECT, _INTS)),
    "ps_set_cmn": (_INT, (_OBJECT, _TEXT)),
    "ps_get_logmath": (_OBJECT, (_OBJECT,)),
    "logmath_exp": (ctypes.c_double, (_OBJECT, _INT)),
    "ps_get_config": (_OBJECT, (_OBJECT,)),
    "fe_init_auto_r": (_OBJECT, (_OBJECT,)),
    "fe_free": (_INT, (_OBJECT,)),
    "fe_get_output_size": (_INT, (_OBJECT,)),
    "fe_process_utt": (_INT, (_OBJECT, _TEXT, ctypes.c_size_t, _OBJECT, _INTS)),
    "fe_free_2d": (None, (_OBJECT,)),
    "ps_seg_iter": (_OBJECT, (_OBJECT,)),
    "ps_seg_next": (_OBJECT, (_OBJECT,)),
    "ps_seg_word": (_TEXT, (_OBJECT,)),
    "ps_seg_frames": (None, (_OBJECT, _INTS, _INTS)),
    "ps_seg_prob": (ctypes.c_int32, (_OBJECT, _INTS, _INTS, _INTS)),
}


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_pocketsphinx.__file__)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


_LIBRARY = _load()


Means = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Segment:
    """One entry of a decoded utterance, fillers such as `<sil>` and `[NOISE]` included.

    `word` may name a pronunciation: `the(2)`. Times are seconds from the utterance's start.
    """

    word: str
    start_s: float
    end_s: float
    probability: float


class Decoder:
    """One decoder with the wheel's English model: about 90 MB, loaded in 0.3 s. For one thread at a time.

    begin() → process()… → hypothesis() while it runs → end() → hypothesis(), segments().
    """

    def __init__(self, options: Mapping[str, int]) -> None:
        model = Path(get_model_path("en-us"))
        config = _LIBRARY.ps_config_init(None)
        texts = {
            "hmm": str(model / "en-us"),
            "lm": str(model / "en-us.lm.bin"),
            "dict": str(model / "cmudict-en-us.dict"),
            "loglevel": "FATAL",
        }
        for name, text in texts.items():
            _LIBRARY.ps_config_set_str(config, name.encode(), text.encode())
        for name, value in options.items():
            _LIBRARY.ps_config_set_int(config, name.encode(), value)
        self._so_far: tuple[Segment, ...] = ()  # of the ended utterance, before its end
        self._decoder: int | None = _LIBRARY.ps_init(config)
        _LIBRARY.ps_config_free(config)  # the decoder keeps a reference of its own
        if self._decoder is None:
            raise ModelSetupError(f"pocketsphinx cannot load its model from {model}: reinstall pocketsphinx==5.1.1")

    def close(self) -> None:
        """Frees its memory; it must not be used afterwards."""
        _LIBRARY.ps_free(self._decoder)
        self._decoder = None

    def begin(self, means: Means) -> None:
        """Starts an utterance; `means`, from `measure`, are what its cepstra are normalised by."""
        self.adjust(means)
        _LIBRARY.ps_start_stream(self._decoder)  # forgets the noise of the utterance before, which was another's
        _LIBRARY.ps_start_utt(self._decoder)

    def adjust(self, means: Means) -> None:
        """Normalises what follows by other means. What was decoded stays as it is."""
        _LIBRARY.ps_set_cmn(self._decoder, ",".join(f"{mean:g}" for mean in means).encode())

    def process(self, pcm16_16k: bytes) -> None:
        """Decodes more sound."""
        _LIBRARY.ps_process_raw(self._decoder, pcm16_16k, len(pcm16_16k) // 2, 0, 0)

    def end(self) -> None:
        """Ends the utterance: the best path through its words, and a second pass over them before it if one is on."""
        self._so_far = tuple(self._segments())
        _LIBRARY.ps_end_utt(self._decoder)

    def measure(self, pcm16_16k: bytes) -> Means:
        """The cepstral means of a sound, as a whole-utterance decoding of it would take them (src/feat/cmn.c).

        They tell its level and the colour of its microphone. Takes 0.3 ms per second of sound.
        """
        # A front end of its own: the decoder's is in use, and one keeps its estimate of the noise.
        front_end = _LIBRARY.fe_init_auto_r(_LIBRARY.ps_get_config(self._decoder))
        size = _LIBRARY.fe_get_output_size(front_end)
        block, frames = ctypes.POINTER(_FLOATS)(), ctypes.c_int()
        _LIBRARY.fe_process_utt(front_end, pcm16_16k, len(pcm16_16k) // 2, ctypes.byref(block), ctypes.byref(frames))
        try:
            cepstra = np.ctypeslib.as_array(block[0], (frames.value, size)).copy()
        finally:
            _LIBRARY.fe_free_2d(block)
            _LIBRARY.fe_free(front_end)
        audible = cepstra[cepstra[:, 0] >= 0]
        means = audible.mean(axis=0) if len(audible) else np.zeros(size, np.float32)
        return means

    def hypothesis(self) -> str:
        """The words so far, or of the ended utterance."""
        text: bytes | None = _LIBRARY.ps_get_hyp(self._decoder, None)
        return text.decode() if text else ""

    def segments(self) -> Iterator[Segment]:
        """The ended utterance, word by word.

        Where no word ends with the last frame there is no path from the first to the last (src/ngram_search.c), as
        happens to one sound in two hundred. What was thought before the end is told then, of probability 0.
        """
        found = tuple(self._segments())
        yield from found or (replace(segment, probability=0.0) for segment in self._so_far)

    def _segments(self) -> Iterator[Segment]:
        logmath = _LIBRARY.ps_get_logmath(self._decoder)
        start, end, score = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        segment = _LIBRARY.ps_seg_iter(self._decoder)
        while segment:
            _LIBRARY.ps_seg_frames(segment, start, end)
            posterior = _LIBRARY.ps_seg_prob(segment, score, score, score)
            yield Segment(
                _LIBRARY.ps_seg_word(segment).decode(),
                start.value / FRAMES_PER_S,
                (end.value + 1) / FRAMES_PER_S,
                min(1.0, _LIBRARY.logmath_exp(logmath, posterior)),
            )
            segment = _LIBRARY.ps_seg_next(segment)  # frees the iterator after the last
