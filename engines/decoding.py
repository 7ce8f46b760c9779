"""One utterance through pocketsphinx decoders: what to decode, when to begin again, and what is known so far."""

import time
from collections.abc import Mapping
from threading import Condition, Thread

import numpy as np

from engines.audio import AUDIBLE_RMS, BYTES_PER_S, FRAME_BYTES, has_voice, is_above, levels, speech_level
from engines.errors import EngineUnavailableError
from engines.sphinx import Decoder, Means
from engines.transcriber import Ask, Hypothesis, Word

# Decoding begins with the means of the first FIRST_S, and takes better ones each time the sound is longer by GROWTH.
# The first second of speech is the dearest: to begin later would make the answer to a short sentence late. The very
# first utterance, for which nothing is usual, needs more sound.
FIRST_S, VERY_FIRST_S, GROWTH = 0.33, 0.7, 1.25
# At the end, means so far off that the whole is worth decoding anew.
REDECODE_DISTANCE = 1.2
# The means of the utterances before, likely of the same microphone, count as so much sound of this one, of which the
# first LEAD_S are the silence before the voice and tell nothing of it.
USUAL_S, LEAD_S = 1.0, 0.3
# How much each cepstral mean varies between microphones and voices.
_SPREAD = np.array([20, 8, 6, 6, 6, 5, 5, 4, 4, 4, 4, 3, 3], np.float32)
# A stretch of speech that is decoded as a whole. A pause after CLOSE_S ends it, LONGEST_S ends it anyway, and its words
# do not change any more. A pause of BREAK_S in which an answer was given ends it, too: all before it would have to be
# decoded again.
CLOSE_S, CLOSE_PAUSE_S, LONGEST_S, BREAK_S = 8.0, 0.3, 20.0, 0.22
# An utterance that has been silent for so long may lose its decoder to another.
STEAL_AFTER_S = 1.0
WAIT_TIMEOUT_S = 5.0


class Decoders:
    """`count` decoders, lent to utterances while these are being spoken.

    One is there at once; the others, 0.3 s each, follow from a thread of their own.
    """

    def __init__(self, options: Mapping[str, int], count: int) -> None:
        self._given_back = Condition()
        self._free = [Decoder(options)]
        self._lent: dict[Utterance, float] = {}  # to when the utterance last used its decoder; not while it does
        self._usual_means: Means | None = None  # of the utterances so far, the latest most of all
        self._closed = False
        Thread(target=self._make, args=(options, count - 1), name="decoders", daemon=True).start()

    def take(self, utterance: "Utterance") -> Decoder | None:
        """The decoder of an utterance, or a free one, or one that its utterance has not used for a while, or None."""
        return self._take(utterance, idle_s=STEAL_AFTER_S)

    def wait(self, utterance: "Utterance") -> Decoder:
        """The same, urgently: anyone's that is not being used this moment, or the first that comes free."""
        with self._given_back:
            decoder = self._given_back.wait_for(lambda: self._take(utterance, idle_s=0.0), timeout=WAIT_TIMEOUT_S)
        if decoder is None:
            raise EngineUnavailableError("all decoders are busy")
        return decoder

    def reclaim(self, utterance: "Utterance") -> None:
        """Take the decoder of an utterance that needs it no more, if it has one."""
        with self._given_back:
            decoder, utterance.decoder = utterance.decoder, None
            self._lent.pop(utterance, None)
        if decoder is not None:
            decoder.end()
            self.give_back(decoder)

    def keep(self, utterance: "Utterance") -> None:
        """The utterance goes on: its decoder stays with it, unless another needs it."""
        with self._given_back:
            self._lent[utterance] = time.monotonic()
            self._given_back.notify()

    def give_back(self, decoder: Decoder) -> None:
        """The decoder is at the end of its utterance."""
        with self._given_back:
            if self._closed:
                decoder.close()
            else:
                self._free.append(decoder)
                self._given_back.notify()

    @property
    def first_s(self) -> float:
        """How much sound of an utterance tells enough to begin with."""
        return VERY_FIRST_S if self._usual_means is None else FIRST_S

    def expected(self, means: Means, of_s: float) -> Means:
        """The means that a whole utterance is likely to have of which `of_s` seconds have these."""
        usual = self._usual_means
        if usual is None:
            return means
        voice_s = max(0.0, of_s - LEAD_S)
        return np.asarray((voice_s * means + USUAL_S * usual) / (voice_s + USUAL_S), np.float32)

    def learn(self, means: Means) -> None:
        """An utterance had these means."""
        usual = self._usual_means
        self._usual_means = means if usual is None else np.asarray((usual + means) / 2, np.float32)

    def close(self) -> None:
        """Free those that are not in use."""
        with self._given_back:
            self._closed = True
            for decoder in self._free:
                decoder.close()
            self._free.clear()

    def _make(self, options: Mapping[str, int], count: int) -> None:
        for _ in range(count):
            if self._closed:
                return
            self.give_back(Decoder(options))

    def _take(self, utterance: "Utterance", *, idle_s: float) -> Decoder | None:
        with self._given_back:
            if utterance.decoder is not None:
                self._lent.pop(utterance, None)
                return utterance.decoder
            if self._free:
                return self._free.pop()
            victim = min(self._lent, key=self._lent.__getitem__, default=None)
            if victim is None or time.monotonic() - self._lent[victim] < idle_s:
                return None
            del self._lent[victim]
            decoder, victim.decoder = victim.decoder, None
        if decoder is not None:
            decoder.end()
        return decoder


class Utterance:
    """The sound of one utterance and what is understood of it; for one thread at a time."""

    def __init__(self) -> None:
        self.decoder: Decoder | None = None  # in the middle of `_sound`
        self._sound = bytearray()  # since the last stretch that was closed
        self._begins_s = 0.0  # where that is in the utterance
        self._audible = False
        self._closed: tuple[Word, ...] = ()
        self._partial = ""
        self._fed = 0  # bytes of `_sound` that the decoder has
        self._measured = 0  # bytes of the utterance when `_means` were measured
        self._means: Means = np.zeros(len(_SPREAD), np.float32)  # what the decoder normalises by
        self._closed_bytes = 0
        self._closed_means = self._means  # of the closed stretches
        self._pause_at: int | None = None  # bytes of `_sound` that `_words` are the answer for
        self._pause_level = 0.0
        self._pause_means = self._means
        self._words: tuple[Word, ...] = ()

    def hear(self, pcm16_16k: bytes, decoders: Decoders) -> None:
        """More sound. Silence is kept, not decoded: until something is heard, and after an answer."""
        self._sound += pcm16_16k
        recent = bytes(self._sound[-max(len(pcm16_16k), FRAME_BYTES) :])
        if self._pause_at is not None:
            if not is_above(recent, self._pause_level):
                return
            self._resume(self._pause_at)
        self._audible = self._audible or is_above(recent, AUDIBLE_RMS)
        if not self._audible or (not self._measured and len(self._sound) < decoders.first_s * BYTES_PER_S):
            return
        decoder = decoders.take(self)
        if decoder is None:
            return
        self._feed(decoder, decoders)
        if self._is_long():
            self._close_stretch(decoder)
            decoders.give_back(decoder)
        else:
            self.decoder = decoder
            decoders.keep(self)

    def answer(self, ask: Ask, decoders: Decoders) -> Hypothesis:
        """What is understood: at once for a partial, else the best for all sound so far."""
        if ask is not Ask.PARTIAL and self._pause_at is None:
            self._words = self._conclude(decoders)
            self._partial = _text(self._words)
            self._pause_at = len(self._sound)
            self._pause_level = speech_level(bytes(self._sound))
        stable = _text(self._closed)
        text = " ".join(part for part in (stable, self._partial) if part)
        if ask is Ask.PARTIAL:
            return Hypothesis(text, len(stable), is_final=False)
        stable_chars = len(text) if ask is Ask.FINAL else len(stable)
        return Hypothesis(text, stable_chars, is_final=True, words=self._closed + self._words)

    def _resume(self, pause_at: int) -> None:
        self._pause_at = None
        is_break = bool(self._words) and self._silence_s(pause_at) >= BREAK_S
        if is_break or pause_at > CLOSE_S * BYTES_PER_S:
            self._close(self._words, pause_at, self._pause_means)

    def _silence_s(self, pause_at: int) -> float:
        """How long the silence around that place is, as far as BREAK_S on each side."""
        reach = round(BREAK_S * BYTES_PER_S)
        level = max(self._pause_level, AUDIBLE_RMS)
        before = levels(bytes(self._sound[max(0, pause_at - reach) : pause_at]))[::-1] > level
        after = levels(bytes(self._sound[pause_at : pause_at + reach])) > level
        frames = sum(int(np.argmax(loud)) if loud.any() else len(loud) for loud in (before, after))
        return frames * FRAME_BYTES / BYTES_PER_S

    def _feed(self, decoder: Decoder, decoders: Decoders) -> None:
        length = len(self._sound)
        begins = self.decoder is None
        heard = self._closed_bytes + length
        grown = heard >= GROWTH * self._measured
        if grown:
            self._means, self._measured = decoders.expected(self._measure(decoder), heard / BYTES_PER_S), heard
        if begins:
            decoder.begin(self._means)
            self._fed = 0
        elif grown:
            decoder.adjust(self._means)
        decoder.process(bytes(self._sound[self._fed :]))
        self._fed = length
        self._partial = " ".join(_spelled(word) for word in decoder.hypothesis().split())

    def _conclude(self, decoders: Decoders) -> tuple[Word, ...]:
        sound = bytes(self._sound)
        if not self._audible or not has_voice(sound):
            decoders.reclaim(self)
            return ()
        decoder = decoders.wait(self)
        means = self._measure(decoder)
        if self.decoder is None or _distance(means, self._means) > REDECODE_DISTANCE:
            heard = self._closed_bytes + len(sound)
            if self.decoder is not None:
                decoder.end()
                self._means = means
            else:  # too short to tell them
                self._means = decoders.expected(means, heard / BYTES_PER_S)
            decoder.begin(self._means)
            self._measured, self._fed = heard, 0
        decoder.process(sound[self._fed :])
        decoder.end()
        self.decoder = None
        self._pause_means = means
        words = self._understood(decoder)
        if words:  # the means of noise are nobody's
            decoders.learn(means)
        decoders.give_back(decoder)
        return words

    def _measure(self, decoder: Decoder) -> Means:
        """The cepstral means of the utterance so far."""
        means = decoder.measure(bytes(self._sound))
        closed = self._closed_bytes / (self._closed_bytes + len(self._sound))
        return np.asarray(closed * self._closed_means + (1 - closed) * means, np.float32)

    def _is_long(self) -> bool:
        if len(self._sound) > LONGEST_S * BYTES_PER_S:
            return True
        pause = int(CLOSE_PAUSE_S * BYTES_PER_S)
        return len(self._sound) > CLOSE_S * BYTES_PER_S and not is_above(
            bytes(self._sound[-pause:]), speech_level(bytes(self._sound))
        )

    def _close_stretch(self, decoder: Decoder) -> None:
        decoder.end()
        self.decoder = None
        self._close(self._understood(decoder), len(self._sound), self._measure(decoder))

    def _close(self, words: tuple[Word, ...], end: int, means: Means) -> None:
        if words:  # the means of noise are not the speaker's
            self._closed += words
            self._closed_bytes, self._closed_means = self._closed_bytes + end, means
        self._begins_s += end / BYTES_PER_S
        del self._sound[:end]
        self._partial, self._words, self._fed = "", (), 0
        self._audible = False

    def _understood(self, decoder: Decoder) -> tuple[Word, ...]:
        return tuple(
            Word(
                _spelled(segment.word),
                round(self._begins_s + segment.start_s, 2),
                round(self._begins_s + segment.end_s, 2),
                round(segment.probability, 3),
            )
            for segment in decoder.segments()
            if segment.word[0] not in "<[+"  # fillers: silence, noise, laughter
        )


def _distance(one: Means, other: Means) -> float:
    return float(np.sqrt((((one - other) / _SPREAD) ** 2).mean()))


def _spelled(word: str) -> str:
    """As it is written: the dictionary is in lower case and numbers a word's pronunciations, `the(2)`."""
    word = word.split("(")[0]
    return word.capitalize() if word == "i" or word.startswith("i'") else word


def _text(words: tuple[Word, ...]) -> str:
    return " ".join(word.text for word in words)
