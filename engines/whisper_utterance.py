"""One utterance on its way through Whisper: which of its sound is to be decoded, when, and what is known of it."""

from collections import deque

from engines.agreement import Agreement
from engines.audio import AUDIBLE_RMS, BYTES_PER_S, has_voice, is_above
from engines.transcriber import Ask, Hypothesis, Piece
from engines.whisper import Result, Window

TRIM_S = 20.0  # from here on the settled beginning of a window goes
MAX_WINDOW_S = 28.0  # a longer one is decoded in parts
KEPT_S, LEAST_CUT_S = 4.0, 14.0  # of such a window: its end stays, and this much of its beginning goes at least
SETTLED_CUT_S = 2.0  # less settled sound is not worth a cut
AGREE_S = 0.3  # hypotheses about nearly the same sound agree on its half-spoken end, too
LANGUAGE_S = 3.0  # after so much sound a detected language stays
LEAD_S = 1.0  # silence that is kept before speech
_VOICE_BYTES = BYTES_PER_S  # voice is looked for in stretches of one second


class Utterance:
    """The sound of one utterance that is not settled yet, and what was understood. Its owner holds a lock."""

    def __init__(self, language: str | None, hotwords: tuple[int, ...]) -> None:
        self.language = language
        self.waiting: deque[Piece[Utterance]] = deque()
        self.forgotten = False
        self.held = False
        """Whether pieces have been taken from `waiting` that are not answered yet."""
        self.computed_s = 0.0
        """Seconds computed that no answer has told yet."""
        self._hotwords = hotwords
        self._agreement = Agreement()
        self._sound = bytearray()
        self._start_s = 0.0  # of the window in the utterance
        self._decoded = 0  # bytes of the window that the latest hypothesis is for
        self._voiced = False

    @property
    def urgent(self) -> bool:
        """Whether more than a partial result is waited for."""
        return any(piece.ask is not Ask.PARTIAL for piece in self.waiting)

    def hear(self, pcm16_16k: bytes) -> None:
        """More sound. As long as there is no voice in it, only its last second is kept."""
        known = max(0, len(self._sound) - _VOICE_BYTES)
        self._sound += pcm16_16k
        if not self._voiced:
            self._look_for_voice(known)

    def due(self, period_s: float) -> bool:
        """Whether to decode: there is new sound, for a partial result a period of it, or word times are missing."""
        if self.forgotten or not self._voiced:
            return False
        if self.urgent and self._agreement.latest.times is None:
            return True
        if not self.urgent and len(self._sound) - self._decoded < period_s * BYTES_PER_S:
            return False
        return is_above(bytes(self._sound[self._decoded :]), AUDIBLE_RMS)

    def window(self) -> Window:
        """The sound to decode."""
        sound = bytes(self._sound[: int(MAX_WINDOW_S) * BYTES_PER_S])
        timed = self.urgent or len(sound) > TRIM_S * BYTES_PER_S
        return Window(sound, self.language, self._hotwords, self._agreement.prefix, timed)

    def understand(self, window: Window, result: Result) -> bool:
        """Take the result for a window; whether it was all the sound that there was when it was taken."""
        seconds = len(window.pcm16_16k) / BYTES_PER_S
        if seconds >= LANGUAGE_S:
            self.language = result.language
        if result.decoded is not None:
            newer_s = seconds - self._decoded / BYTES_PER_S
            self._agreement.hear(result.decoded, settle=newer_s >= AGREE_S)
        self._decoded = len(window.pcm16_16k)
        if seconds >= MAX_WINDOW_S:
            self._cut_full_window()
            return False
        settled_s = self._agreement.settled_until() or 0.0
        if seconds > TRIM_S and settled_s >= SETTLED_CUT_S:
            self._cut(settled_s)
        return True

    def hypothesis(self, ask: Ask) -> Hypothesis:
        """What is understood by now."""
        text, stable = self._agreement.text, self._agreement.stable_chars
        if ask is Ask.PARTIAL:
            return Hypothesis(text, stable, is_final=False)
        words = self._agreement.words(self._start_s)
        return Hypothesis(text, len(text) if ask is Ask.FINAL else stable, is_final=True, words=words)

    def _cut_full_window(self) -> None:
        latest = self._agreement.latest
        limit = MAX_WINDOW_S - KEPT_S
        kept = [time for time in latest.times or () if time.end_s > limit]
        self._cut(max(LEAST_CUT_S, min(limit, kept[0].start_s)) if kept else limit)

    def _cut(self, at_s: float) -> None:
        size = int(at_s * BYTES_PER_S) // 2 * 2
        self._agreement.cut(at_s, self._start_s)
        self._drop(size)
        self._decoded = max(0, self._decoded - size)
        self._voiced = False
        self._look_for_voice(0)

    def _look_for_voice(self, start: int) -> None:
        stops = range(min(start + _VOICE_BYTES, len(self._sound)), len(self._sound) + _VOICE_BYTES, _VOICE_BYTES // 2)
        self._voiced = any(has_voice(bytes(self._sound[max(0, stop - _VOICE_BYTES) : stop])) for stop in stops)
        spare = len(self._sound) - int(LEAD_S * BYTES_PER_S)
        if not self._voiced and spare > 0 and not self._agreement.latest.units:
            self._drop(spare // 2 * 2)
            self._decoded = 0

    def _drop(self, size: int) -> None:
        del self._sound[:size]
        self._start_s += size / BYTES_PER_S
