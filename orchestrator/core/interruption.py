"""Was the speech that paused the agent meant to interrupt it?

Playout pauses at the first speech. Then this decides: words that command silence confirm at once, other words or
lasting speech confirm; a cough, a backchannel, noise or the agent's own echo is rejected, and the agent goes on.
Time is the count of 16 kHz samples.
"""

import re
from dataclasses import dataclass
from enum import Enum

from orchestrator.core import endpointing_rules
from orchestrator.core.completeness import FUNCTION_WORDS, asks
from orchestrator.core.words import WIDE, words_of

SAMPLES_PER_MS = 16

_WIDE = re.compile(WIDE)


class Verdict(Enum):
    """What an interruption turned out to be."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in milliseconds."""

    lasting_ms: int = 560  # speech that lasts this long is meant, whatever its words
    backchannel_ms: int = 900  # unless its words so far are a backchannel's
    silence_ms: int = 200  # quiet that ends a cough or a backchannel whose transcript is known
    patience_ms: int = 420  # quiet that ends it without one
    awaited_ms: int = 640  # the same where one is on its way: it may say 'stop'
    echo_ms: int = 64  # echo that rejects speech of which there was no more
    distant_ms: int = 320  # the same of a voice in the background; a near one may begin as softly


_COMMANDS = {"stop", "wait", "hold on", "hang on", "pause", "quiet", "be quiet", "shut up", "enough", "no", "cancel"}
_COMMANDS |= {"excuse me", "sorry", "hey", "never mind", "one moment", "just a moment", "listen", "hold it", "silence"}
# The same in German, French, Spanish, Italian, Portuguese and Dutch, as far as it is neither English nor listening.
_COMMANDS |= {"stopp", "halt", "warte", "warten", "moment mal", "moment bitte", "einen moment", "nein", "hör auf"}
_COMMANDS |= {"arrête", "arrêtez", "arrete", "attends", "attendez", "un moment", "un instant", "tais toi"}
_COMMANDS |= {"para", "espera", "espere", "basta", "un momento", "silencio", "cállate", "detente"}
_COMMANDS |= {"ferma", "fermati", "aspetta", "aspetti", "un attimo", "silenzio", "zitto", "pare", "um momento", "chega"}
_COMMANDS |= {"wacht", "hou op", "even wachten", "genoeg"}
# These are only if nothing else is said: neither 'the moment it …' nor 'non-smoking' is a command.
_SOLE_COMMANDS = {"moment", "momento", "momentje", "non"}
# In scripts that write no spaces, by how they begin.
_WIDE_COMMAND = re.compile(
    r"停|等一下|等等|等一等|别说了|別說了|安静|闭嘴|(?:ちょっと)?[待ま]って|ストップ|やめて|止めて|止まって|黙って|静かに"
    r"|잠깐|잠시만|그만|멈춰|기다려"
)
_NO_COMMANDS = {"no problem", "no worries", "no kidding", "no way", "no doubt"}
# What may come before a command: 'okay, stop', 'um please wait'.
_POLITE = {"please", "but", "and", "so", "well", "now"}
# The last line is what a recogniser makes of 'uh-huh'.
_BACKCHANNELS = {"uh", "huh", "uhuh", "mhm", "mm", "hmm", "hm", "um", "ah", "oh", "yeah", "yes", "yep", "ok", "okay"}
_BACKCHANNELS |= {"right", "sure", "alright", "all", "i", "see", "got", "it", "cool", "nice", "great", "good", "wow"}
_BACKCHANNELS |= {"true", "really", "exactly"}
_BACKCHANNELS |= {"a", "the", "had", "her", "ha", "hut"}
# What may come before a command in the other languages; alone, nobody knows yet.
_LEADS = {"ja", "oui", "sí", "si", "sì", "sim", "ach", "aber", "mais", "pero", "ma", "mas", "maar", "bitte"}
# Recognisers write some of these a hundred times over: no backtracking.
_WIDE_BACKCHANNEL = re.compile(
    r"(?:[嗯哦啊对對好是的]|没错|うん|はい|ええ|へえ|あ|そうですか|そうですね|そうか|そっか|そう|なるほど|ほんと"
    r"|네|예|응|그래요?|맞아요?|그렇군요|음|아)++"
)
# In scripts that write no spaces so many characters are more than one word.
_TWO_WIDE_WORDS = 4


def is_command(text: str) -> bool:
    """Whether `text` begins by telling the agent to be silent."""
    words = words_of(text)
    if any(map(_WIDE_COMMAND.match, words)):
        return True
    before = ""
    while len(words) > 1 and words[0] in _BACKCHANNELS | _POLITE | _LEADS:
        before = words.pop(0)
    if len(words) == 1 and words[0] in _SOLE_COMMANDS:
        return before not in FUNCTION_WORDS
    starts = {" ".join(words[:length]) for length in (1, 2, 3)}
    return bool(starts & _COMMANDS) and not starts & _NO_COMMANDS


def is_backchannel(text: str) -> bool:
    """Whether `text` is nothing but signs of listening ('uh-huh', 'right', 'I see'), or empty."""
    words = words_of(text)
    return " ".join(words) in _NO_COMMANDS or (len(words) <= 4 and all(map(_is_listening, words)))


def is_meant(text: str) -> bool:
    """Whether `text` is addressed to the agent: a command, or two words that are more than signs of listening.

    One short word is not enough: recognisers make one of every cough, and two function words of an 'uh-huh'.
    """
    words = words_of(text)
    if is_command(text):
        return True
    if len(words) == 2 and set(words) <= _BACKCHANNELS | FUNCTION_WORDS:
        return False  # who has begun a sentence with 'but it' goes on
    several = len(words) >= 2 or len(_WIDE.findall(text)) >= _TWO_WIDE_WORDS
    return several and not is_backchannel(text)


def _is_listening(word: str) -> bool:
    return word in _BACKCHANNELS or bool(_WIDE_BACKCHANNEL.fullmatch(word))


def is_guess(text: str, confidence: float | None, rules: endpointing_rules.Rules) -> bool:
    """Whether a recogniser that is so sure of `text` (0 to 1; None: it tells nothing) hardly understood it.

    Of what it did not understand it seldom makes a question by chance.
    """
    is_question = rules.finds_plausible(confidence) and rules.english and asks(text)
    return not rules.trusts(confidence) and not is_question


class Interruption:
    """One speech during the agent's. Push windows and transcripts until a verdict falls."""

    def __init__(self, rules: Rules | None = None, *, is_rest: bool = False) -> None:
        """`is_rest`: the speech began where the turn before it ended, as the rest of a sentence that was cut off."""
        self.rules = rules or Rules()
        self._is_rest = is_rest
        self._voiced = 0
        self._silence = 0
        self._echo = 0
        self._distant = 0  # voice that was too soft so far
        self._text = ""
        self._guessed = False
        self._concluded = False
        self._awaited = False

    @property
    def awaited(self) -> bool:
        """Whether the recogniser was asked what was said, and has not answered yet."""
        return self._awaited

    @property
    def is_speakers(self) -> bool:
        """Whether it is the speaker's voice, by its sound: neither an echo of the agent nor somebody far away."""
        return self._voiced >= 2 * self._echo and not self._distant

    def expect_words(self) -> None:
        """The recogniser was asked what was said."""
        self._awaited = True

    def hear(self, text: str, *, final: bool = False, guessed: bool = False) -> Verdict | None:
        """A newer transcript of the speech; `final` where the recogniser has heard it to its end.

        `guessed`: it is not sure of the words, of which it makes some of every sound: only a command counts then.
        """
        self._text, self._concluded, self._guessed = text, final, guessed
        self._awaited = self._awaited and not final
        if self._is_meant():
            return Verdict.CONFIRMED
        return self._after_silence()

    def conclude(self, text: str, *, guessed: bool = False) -> Verdict:
        """The verdict on speech that is over; `text` is its final transcript, `guessed` as in `hear`."""
        self._text, self._guessed = text, guessed
        return Verdict.CONFIRMED if self._is_meant() else Verdict.REJECTED

    def push(self, voice: bool, window: int = 512, *, echo: bool = False, distant: bool = False) -> Verdict | None:
        """One window of sound: voice or not, and whether that voice is the agent's own.

        `distant`: no voice of this speech was as loud as the speaker's so far.
        """
        if echo:
            self._echo += window
            if self._echo // SAMPLES_PER_MS >= self.rules.echo_ms and self._echo >= self._voiced:
                return Verdict.REJECTED
        elif voice and distant:
            self._distant, self._silence, self._concluded = self._distant + window, 0, False
            if self._distant // SAMPLES_PER_MS >= self.rules.distant_ms:
                return Verdict.REJECTED
        elif voice:
            # What was soft before it was this speaker, too.
            self._voiced, self._distant = self._voiced + self._distant + window, 0
            self._silence, self._concluded, self._awaited = 0, False, False
        else:
            self._silence += window
        limit_ms = self.rules.backchannel_ms if self._text and is_backchannel(self._text) else self.rules.lasting_ms
        if self._voiced // SAMPLES_PER_MS >= limit_ms:
            return Verdict.CONFIRMED
        return self._after_silence()

    def _after_silence(self) -> Verdict | None:
        patience_ms = self.rules.awaited_ms if self._awaited else self.rules.patience_ms
        if self._silence // SAMPLES_PER_MS >= (self.rules.silence_ms if self._concluded else patience_ms):
            return Verdict.CONFIRMED if self._is_meant() else Verdict.REJECTED
        return None

    def _is_meant(self) -> bool:
        if self._is_rest:
            meant = not is_backchannel(self._text)
        else:
            meant = is_command(self._text) if self._guessed else is_meant(self._text)
        # Of words that are partly an echo nobody can tell who said them.
        return meant and self.is_speakers
