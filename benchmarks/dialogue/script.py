"""The scripts: what a caller says and does, as data."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
import numpy.typing as npt

VOICES = ("slt", "rms", "awb", "kal16")
Noise = Literal["white", "pink", "babble"]
# Sounds that are not meant for the agent.
Disturbance = Literal["cough", "uh huh", "right", "door", "side speech"]


@dataclass(frozen=True, slots=True)
class Say:
    """Wait for quiet, say this and wait for the answer to begin. A number stands for a pause of so many ms."""

    parts: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """The same with a recording (INT16 mono at 16 kHz) whose pauses are [begin, end) in samples."""

    sound: npt.NDArray[np.int16]
    pauses: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Interrupt:
    """`after_s` into the answer, say this; the agent is to fall silent, and to answer."""

    text: str
    after_s: float = 2.0
    answered: bool = True  # 'stop' wants no answer


@dataclass(frozen=True, slots=True)
class Disturb:
    """`after_s` into the answer, make this sound; the agent is to say its answer to the end."""

    sound: Disturbance
    after_s: float = 1.5


@dataclass(frozen=True, slots=True)
class HearOut:
    """Listen to the answer to its end."""


Step = Say | Play | Interrupt | Disturb | HearOut


@dataclass(frozen=True, slots=True)
class Script:
    """One call. Levels in dB relative to the caller's voice: noise behind it, and the agent's own voice come back."""

    name: str
    steps: tuple[Step, ...]
    voice: str = "slt"
    noise: Noise | None = None
    noise_db: float = -30.0
    echo_db: float | None = None


STORY = Say(("Tell me a story.",))
ABILITIES = Say(("What can you do?",))  # an answer of some ten seconds

# Sentences in parts that one may pause between; no part but the last is all, though some could be.
BROKEN = (
    ("I would like to know", "what time it is."),
    ("Can you tell me", "where you come", "from?"),
    ("I had a bad day and", "I am very", "tired."),
    ("What do you think about", "people who work", "at night?"),
    ("My mother is coming", "to visit me", "next week."),
    ("I want to learn", "how to cook", "for my family."),
    ("I do not understand", "the question."),
    ("I think we should", "talk about it", "tomorrow."),
    ("Tell me something about", "the history", "of music."),
    ("I need a little more", "time to think."),
)
# Beginnings of these that someone could have left it at: by their words they are sentences.
SENTENCES_SO_FAR = frozenset(
    {
        "I do not understand",
        "I need a little more",
        "I think we should talk about it",
        "I want to learn",
        "I want to learn how to cook",
        "My mother is coming",
        "My mother is coming to visit me",
        "Tell me something about the history",
        "What do you think about people who work",
    }
)
WHOLE = (
    "What time is it?",
    "How are you today?",
    "What can you do?",
    "Thank you very much for your help.",
    "I feel tired of my job.",
    "Do you like to read books?",
    "What is your name?",
    "Please tell me about yourself.",
)

LONG_CALL = 6  # turns: from the first ones the endpointer learns how the speaker ends


def broken(index: int, *pauses_ms: int) -> Say:
    """A sentence with pauses in it; where it has more places, the last pause again."""
    first, *others = BROKEN[index % len(BROKEN)]
    parts: list[str | int] = [first]
    for number, part in enumerate(others):
        parts += [pauses_ms[min(number, len(pauses_ms) - 1)], part]
    return Say(tuple(parts))


def beginnings(say: Say) -> list[str]:
    """What has been said at each of its pauses."""
    places = [index for index, part in enumerate(say.parts) if isinstance(part, int)]
    return [" ".join(part for part in say.parts[:place] if isinstance(part, str)) for place in places]


def questions(name: str, voice: str, *, count: int, first: int = 0, **options: Noise | float) -> Script:
    """Complete sentences, one after the other."""
    said = tuple(Say((WHOLE[(first + index) % len(WHOLE)],)) for index in range(count))
    return Script(name, said, voice, **options)  # type: ignore[arg-type]


def daily() -> tuple[Script, ...]:
    """What runs in a few minutes."""
    return (
        # Each sentence is among the first two turns of one voice's call and among the later ones of two others', so
        # that the delays of both can be compared.
        questions("questions-slt", "slt", count=LONG_CALL),
        questions("questions-rms", "rms", first=2, count=LONG_CALL),
        questions("questions-awb", "awb", first=4, count=LONG_CALL),
        questions("questions-kal16", "kal16", first=6, count=LONG_CALL),
        questions("questions-in-noise", "slt", first=1, count=LONG_CALL, noise="pink", noise_db=-28.0),
        Script("pauses-slt", (broken(0, 300), broken(1, 500, 650), broken(2, 400, 550)), "slt"),
        Script("pauses-rms", (broken(3, 700, 300), broken(4, 450, 600), broken(5, 250, 700)), "rms"),
        Script("pauses-awb", (broken(6, 600), broken(7, 350, 700), broken(8, 500, 200)), "awb"),
        Script("pauses-kal16", (broken(9, 650), broken(1, 700, 400)), "kal16"),
        Script("pauses-in-noise", (broken(3, 400, 650), broken(7, 550, 300)), "slt", noise="babble", noise_db=-25.0),
        Script("pauses-long-rms", (broken(0, 900), broken(2, 1200)), "rms"),
        Script("pauses-long-slt", (broken(6, 800), broken(9, 1000)), "slt"),
        Script("dictation", (Say(("My number is five five", 600, "two three four.")),), "rms"),
        Script("interruption", (STORY, Interrupt("What time is it?")), "slt"),
        Script("stop", (STORY, Interrupt("Stop.", answered=False), Say(("What is your name?",))), "rms"),
        Script("wait", (STORY, Interrupt("Wait a moment please.", 3.0)), "slt"),
        Script("interruption-early", (STORY, Interrupt("I do not understand the question.", 0.7)), "awb"),
        Script("interruption-late", (STORY, Interrupt("What is your name?", 5.0)), "rms"),
        Script("cough", (ABILITIES, Disturb("cough"), Disturb("cough", 4.0)), "slt"),
        Script("backchannels-rms", (ABILITIES, Disturb("uh huh"), Disturb("right", 4.0)), "rms"),
        Script("backchannels-slt", (ABILITIES, Disturb("right", 2.0), Disturb("uh huh", 5.0)), "slt"),
        Script("door-and-voices", (ABILITIES, Disturb("door"), Disturb("side speech", 4.0)), "slt"),
        Script("echo", (ABILITIES, HearOut()), "slt", echo_db=-20.0),
        Script("interruption-over-echo", (STORY, Interrupt("What time is it?")), "slt", echo_db=-20.0),
    )


def turn_taking() -> tuple[Script, ...]:
    """Those of them in which the caller only talks and listens: any agent can be judged by these, from outside."""
    return tuple(script for script in daily() if all(isinstance(step, Say) for step in script.steps))


def nightly() -> Iterator[Script]:
    """Every voice, noise and pause: about an hour."""
    yield from daily()
    noises: tuple[Noise | None, ...] = (None, "white", "pink", "babble")
    sounds: tuple[Disturbance, ...] = ("cough", "uh huh", "right", "door", "side speech")
    begins = cycle(range(len(BROKEN)))
    for voice in VOICES:
        for noise in noises:
            name = f"{voice}-{noise or 'quiet'}"
            yield questions(
                f"questions-{name}", voice, first=next(begins), count=4, **({"noise": noise} if noise else {})
            )
            for pause_ms in range(200, 1201, 200):
                pauses = tuple(broken(next(begins), pause_ms) for _ in range(2))
                yield Script(f"pauses-{pause_ms}-{name}", pauses, voice, noise)
        for sound in sounds:
            yield Script(f"{sound.replace(' ', '-')}-{voice}", (STORY, Disturb(sound), Disturb(sound, 3.0)), voice)
        for text in ("Stop.", "Wait a moment please.", "What time is it?", "I do not understand the question."):
            steps = (STORY, Interrupt(text, answered=text != "Stop."))
            word = text.split()[0].strip(".").lower()
            yield Script(f"interruption-{word}-{voice}", steps, voice)
            yield Script(f"interruption-over-echo-{word}-{voice}", steps, voice, echo_db=-20.0)
        yield Script(f"echo-{voice}", (STORY, HearOut()), voice, echo_db=-20.0)
