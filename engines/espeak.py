"""Text to phonemes by espeak-ng, in the alphabet that Kokoro was trained on.

The library is the one of the `espeakng-loader` wheel (GPL-3.0, loaded at run time), so nothing has to be installed
beside pip's packages. The alphabet is misaki's (github.com/hexgrad/misaki, EN_PHONES.md): IPA with one letter for each
diphthong and affricate, which `_ENGLISH` and `_OTHERS` make of espeak's tied symbols.
"""

import ctypes
import re
import threading

from engines.errors import ModelSetupError

BRITISH = "en"
"""espeak's name for British English."""

# ruff: noqa: RUF001  (phonetic letters look like others: that is their nature)

_RETRIEVAL, _DONT_EXIT = 1, 0x8000  # speak_lib.h: AUDIO_OUTPUT_RETRIEVAL, espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # speak_lib.h: espeakCHARS_UTF8
_TIED_IPA = 0x02 | 0x80 | ord("^") << 8  # speak_lib.h, espeak_TextToPhonemes: IPA, '^' between letters of one sound

_PUNCTUATION = re.compile(r"(\s*[;:,.!?¡¿—…\"«»“”(){}\[\]]+\s*)+")
_MARKS = str.maketrans("{[]}«»", "(())“”")
"""Kokoro knows round brackets and curly quotation marks only."""
_INNER_POINT = re.compile(r"(?<=\d)[.,:](?=\d)|(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)")
"""One within a word: 3.14 or U.S is no two clauses."""
_LANGUAGE_SWITCH = re.compile(r"\([a-z^-]+\)")
"""espeak marks a word of another language: `(fr)ʃˈɛf(en)`."""
_SYLLABIC = "\u0329"

_ENGLISH = (
    (f"ʔˌn{_SYLLABIC}", "ʔn"), (f"ʔn{_SYLLABIC}", "ʔn"),
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("ə^l", "ᵊl"),
    ("ʲo", "jo"), ("ʲə", "jə"), ("ʲ", ""), ("ɚ", "əɹ"), ("e", "A"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"),
    ("ɬ", "l"), ("\u0303", ""),
)  # fmt: skip
_BRITISH = (("A^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q"))
_AMERICAN = (("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""))
_ENGLISH_LAST = (("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t"))
_OTHERS = (
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^z", "ʣ"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("s^s", "S"),
    ("t^s", "ʦ"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("-", ""),
)  # fmt: skip


class Espeak:
    """espeak-ng, of which a process has one: its calls take turns."""

    def __init__(self) -> None:
        import espeakng_loader

        self._turn = threading.Lock()
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        translate = self._library.espeak_TextToPhonemes
        translate.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        translate.restype = ctypes.c_char_p
        data = espeakng_loader.get_data_path().encode()
        if self._library.espeak_Initialize(_RETRIEVAL, 0, data, _DONT_EXIT) < 0:
            raise ModelSetupError(f"espeak-ng finds no data in {data.decode()}: reinstall espeakng-loader")

    def phonemes(self, text: str, voice: str) -> str:
        """Return `text` (one line) in Kokoro's alphabet, its punctuation kept.

        `voice` is espeak's: en-us, en (British), fr … Raises ValueError for a voice that espeak does not have.
        """
        text = _INNER_POINT.sub(lambda mark: f"\0{ord(mark[0])}\0", text)
        parts: list[str] = []
        end = 0
        for mark in _PUNCTUATION.finditer(text):
            parts += [self._words(text[end : mark.start()], voice), mark[0].translate(_MARKS)]
            end = mark.end()
        parts.append(self._words(text[end:], voice))
        return _in_alphabet("".join(parts), voice).strip()

    def _words(self, text: str, voice: str) -> str:
        text = re.sub(r"\0(\d+)\0", lambda mark: chr(int(mark[1])), text)
        if not text.strip():
            return ""
        spoken: list[str] = []
        with self._turn:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            rest = ctypes.c_char_p(text.encode())
            while rest.value:  # one call translates up to the end of a clause and moves on
                clause = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _TIED_IPA)
                spoken.append((clause or b"").decode())
        return _LANGUAGE_SWITCH.sub("", " ".join(spoken)).strip()


def _in_alphabet(tied: str, voice: str) -> str:
    if voice.startswith("en"):
        british = voice == BRITISH
        for old, new in _ENGLISH:
            tied = tied.replace(old, new)
        tied = re.sub(rf"(\S){_SYLLABIC}", r"ᵊ\1", tied)
        for old, new in (*(_BRITISH if british else _AMERICAN), *_ENGLISH_LAST):
            tied = tied.replace(old, new)
    else:
        for old, new in _OTHERS:
            tied = tied.replace(old, new)
    return tied.replace("^", "")
