"""What the offline conversationalist does properly: requests, how they are recognised, and their answers."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engines import arithmetic
from engines.chatml import Said
from engines.stories import STORIES


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the user's words in lower case without closing punctuation, and what else an answer may need."""

    text: str
    before: Sequence[Said]
    """The messages before the user's."""
    name: str
    now: datetime
    chance: random.Random

    def choose(self, *answers: str) -> str:
        return self.chance.choice(answers)


@dataclass(frozen=True, slots=True)
class Skill:
    """A request that is recognised by `pattern`, or by being nearly one of `examples`, and how it is answered."""

    pattern: re.Pattern[str]
    answer: Callable[[Asked], str]
    examples: Sequence[str] = ()


def _time(asked: Asked) -> str:
    return f"It is {asked.now.hour % 12 or 12}:{asked.now:%M} {'AM' if asked.now.hour < 12 else 'PM'}."


def _date(asked: Asked) -> str:
    day = asked.now.day
    suffix = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"Today is {asked.now:%A, %B} {day}{suffix}, {asked.now.year}."


def _name(asked: Asked) -> str:
    return f"My name is {asked.name}. What is yours?"


def _abilities(asked: Asked) -> str:
    return (
        "I can tell you the time and the date, do small sums, spell words, count, repeat what I said, and tell you a "
        "story. For the rest I listen. I am a small offline program that stands in for a language model."
    )


def _about(asked: Asked) -> str:
    return (
        f"I am {asked.name}, a voice agent that runs on this machine alone. My words come from a small offline "
        "program, not from a large language model. I do not get tired and I like questions."
    )


def _story(asked: Asked) -> str:
    told = sum(said.role == "user" and _STORY.search(said.text.lower()) is not None for said in asked.before)
    return " ".join(STORIES[told % len(STORIES)].split())


def _again(asked: Asked) -> str:
    earlier = next((said.text for said in reversed(asked.before) if said.role == "assistant" and said.text), None)
    return f"I said: {earlier}" if earlier else "I have not said anything yet."


def _summary(asked: Asked) -> str:
    """The latest things that the user said, by their first words."""
    said = [" ".join(each.text.split()[:10]).rstrip(".?!") for each in asked.before if each.role == "user"]
    return f"You said: {'; '.join(said[-12:])}." if said else "We have only just begun."


def _spelled(asked: Asked) -> str:
    match = _SPELL.search(asked.text)
    word = match[1] if match and match[1] else ""
    if word in ("", "name", "that", "it", "this"):
        word = asked.name
    return f"{', '.join(letter.upper() for letter in word if letter.isalnum())}."


def _counted(asked: Asked) -> str:
    match = _COUNT.search(asked.text)
    words = match[1].replace(" ", "-") if match else "ten"
    named = {arithmetic.name(n): n for n in range(1, 100)} | dict.fromkeys(("hundred", "a-hundred", "one-hundred"), 100)
    number = named.get(words, int(words) if words.isdecimal() else 10)
    return f"{', '.join(arithmetic.name(n) for n in range(1, min(max(number, 1), 100) + 1))}.".capitalize()


def _said(*answers: str) -> Callable[[Asked], str]:
    return lambda asked: asked.choose(*answers)


_STORY = re.compile(r"\b(?:story|stories|tale)\b")
_SPELL = re.compile(r"\bspell(?:ed)?(?: (?:the |your |me )*(?:word )?(\w+))?")
_COUNT = re.compile(
    r"\bcount (?:up |from one )*to ((?:a |one )?hundred|\w+(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?)"
)


def _skill(pattern: str, answer: Callable[[Asked], str], *examples: str) -> Skill:
    return Skill(re.compile(pattern), answer, examples)


# The first that matches answers, so the narrow ones come first.
SKILLS = (
    _skill(r"^$", _said("I did not catch that. Could you say it again?")),
    _skill(r"^the user has been silent for a while\b", _said("Are you still there?")),
    _skill(r"^(?:please |can you |could you )?summari[sz]e (?:our|the|this) conversation\b", _summary),
    _skill(r"\bspell\b", _spelled, "how do you spell your name"),
    _skill(r"\bcount (?:up |from one )*to \w", _counted),
    _skill(
        r"(?:tell|hear|know|read|another|want|give|like).*\b(?:story|stories|tale)\b|^(?:\w+ )?story\b",
        _story,
        "tell me a story",
        "could you tell me another story",
    ),
    _skill(
        r"\bwhat(?:'s| is)? (?:the )?time\b|\btime is it\b|\btime it is\b|\b(?:tell me|have) the time\b",
        _time,
        "what time is it",
        "what time is it now",
        "do you know what time it is",
    ),
    _skill(
        r"\b(?:what|which)(?:'s| is)? (?:the )?(?:day|date|month|year)\b|\btoday's date\b",
        _date,
        "what day is it today",
        "what is the date today",
    ),
    _skill(
        r"\byour name\b|\bare you called\b|\bwho are you\b|\bwho am i (?:talking|speaking) to\b",
        _name,
        "what is your name",
    ),
    _skill(
        r"\bwhat (?:can|do|could) you do\b|\byou help me with something\b|^help$|\bwhat are you able\b",
        _abilities,
        "what can you do",
        "can you help me with something",
    ),
    _skill(
        r"\b(?:about|introduce) yourself\b|\bwhat are you$|\bare you (?:an? )?(?:human|robot|machine|computer|ai)\b",
        _about,
        "please tell me about yourself",
    ),
    _skill(
        r"\bwhere (?:do|did|are) you (?:come )?from\b|\bwhere do you live\b",
        _said("I live on the computer that you are talking to, and nowhere else."),
        "where do you come from",
    ),
    _skill(r"\bhow old are you\b", _said("I am as old as my last update, which is not very old at all.")),
    _skill(
        r"\bhow are you\b|\bhow do you do\b|\bhow(?:'s| is) it going\b",
        _said("I am very well, thank you. How are you?", "I am fine, thank you. And how are you today?"),
        "how are you today",
        "good morning how are you",
    ),
    _skill(
        r"\b(?:repeat|say) (?:that|it|this)\b|\bsay again\b|\bwhat did you (?:just )?say\b|^pardon\b|^repeat\b",
        _again,
        "can you repeat that please",
    ),
    _skill(
        r"\bweather\b|\bforecast\b",
        _said(
            "I have no window and no connection to the internet, so I can not see the weather. What is it like "
            "where you are?"
        ),
        "what is the weather like today",
    ),
    _skill(
        r"\bjoke\b|\bmake me laugh\b",
        _said(
            "Why did the computer go to the doctor? It had caught a virus.",
            "What do you call a sleeping bull? A bulldozer.",
            "I would tell you a joke about time travel, but you did not like it.",
        ),
    ),
    _skill(
        r"\b(?:tell me|what do you know) (?:(?:some|any)thing |more )?about |^(?:please |let's |can we )*talk about ",
        _said(
            "I know very little about that, for I am only a small offline program. What interests you about it?",
            "There I have to pass: I am not a large language model. But I would like to hear what you think of it.",
        ),
        "tell me something about the history of music",
    ),
    _skill(
        r"^(?:please )?(?:stop|wait|quiet|be quiet|shut up|enough|hold on|never mind|cancel)\b",
        _said("All right.", "Okay, I will be quiet."),
    ),
    _skill(r"^no(?: thanks| thank you)?$", _said("All right. What else would you like to talk about?")),
    _skill(
        r"\bthank(?:s| you)\b|\bsent you very much\b",
        _said("You are welcome.", "With pleasure. Is there anything else?"),
        "thank you very much for your help",
    ),
    _skill(
        r"\b(?:good ?bye|bye|see you|good ?night|have a nice (?:day|evening)|that is all)\b",
        _said("Goodbye, and have a nice day.", "Goodbye. It was nice to talk to you."),
        "goodbye and have a nice day",
    ),
    _skill(r"\bcan you hear me\b", _said("Yes, I hear you well.", "Loud and clear.")),
    _skill(
        r"^(?:hello|hi|hey|good (?:morning|afternoon|evening|day))\b(?: there)?(?: \w+)?$",
        _said("Hello. How can I help you?", "Hello. It is nice to hear you."),
    ),
    _skill(r"\banything else\b", _said("You could ask me what I can do, or ask for a story.")),
    _skill(r"^(?:uh huh|mm+ ?hm+|hm+|right|i see|okay|ok|yeah|sure)$", _said("Please go on.", "I am listening.")),
)
