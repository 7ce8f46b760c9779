"""When flite says each word: what its own synthesis planned, read from the utterance's items (cst_item.h of flite 2.2).

A recogniser hears words only roughly; the voice knows to some milliseconds when it says them.
"""

import ctypes
import functools
from dataclasses import dataclass

from engines.text import is_silent, sentences, spoken_text

_POINTER, _TEXT, _FLOAT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float
_SIGNATURES = {
    "flite_synth_text": ([_TEXT, _POINTER], _POINTER),
    "delete_utterance": ([_POINTER], None),
    "utt_relation": ([_POINTER, _TEXT], _POINTER),
    "relation_head": ([_POINTER], _POINTER),
    "relation_tail": ([_POINTER], _POINTER),
    "item_as": ([_POINTER, _TEXT], _POINTER),
    "item_parent": ([_POINTER], _POINTER),
    "item_next": ([_POINTER], _POINTER),
    "item_feat_float": ([_POINTER, _TEXT], _FLOAT),
    "item_feat_string": ([_POINTER, _TEXT], _TEXT),
    "ffeature_float": ([_POINTER, _TEXT], _FLOAT),
}
_BEGIN = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_END = b"R:SylStructure.daughtern.daughtern.R:Segment.end"


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written, between white space, and when it is said; seconds."""

    text: str
    begin_s: float
    end_s: float


def word_times(text: str, voice: str) -> list[Word]:
    """The words of an ASCII text; time begins with the silence before the first one.

    Sentences are synthesised one after the other, as engines/flite.py does. Not while that engine speaks with the same
    voice: flite's voices are not re-entrant.
    """
    words: list[Word] = []
    offset_s = 0.0
    for sentence in sentences(spoken_text(text)):
        if not is_silent(sentence):
            found, duration_s = _sentence(sentence, voice)
            words += [Word(each.text, each.begin_s + offset_s, each.end_s + offset_s) for each in found]
            offset_s += duration_s
    return words


def _sentence(sentence: str, voice: str) -> tuple[list[Word], float]:
    flite = _library()
    utterance = flite.flite_synth_text(sentence.encode("ascii"), _voice(voice))
    try:
        words: list[Word] = []
        token = None
        item = flite.relation_head(flite.utt_relation(utterance, b"Word"))
        while item:
            # '5:46' is one word as written and several as said.
            parent = flite.item_parent(flite.item_as(item, b"Token"))
            begin_s, end_s = flite.ffeature_float(item, _BEGIN), flite.ffeature_float(item, _END)
            if parent == token:
                words[-1] = Word(words[-1].text, words[-1].begin_s, end_s)
            else:
                words.append(Word(flite.item_feat_string(parent, b"name").decode(), begin_s, end_s))
            token, item = parent, flite.item_next(item)
        last = flite.relation_tail(flite.utt_relation(utterance, b"Segment"))
        return words, float(flite.item_feat_float(last, b"end"))
    finally:
        flite.delete_utterance(utterance)


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)  # the voices look its symbols up globally
    for part in ("usenglish", "cmulex"):
        ctypes.CDLL(f"libflite_{part}.so.1", mode=ctypes.RTLD_GLOBAL)
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    library.flite_init()
    return library


@functools.cache
def _voice(name: str) -> int:
    register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    register.argtypes, register.restype = [_TEXT], _POINTER
    return int(register(None))
