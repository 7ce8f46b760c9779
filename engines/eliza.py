"""A small offline conversationalist, which stands in for a language model where no weights can be downloaded.

It is not a language model: it recognises some dozen requests by their words, does them properly, and leaves everything
else to NLTK's ELIZA, which reflects what was said. The same prompt always gives the same answer.
"""

import difflib
import random
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from nltk.chat.eliza import pairs
from nltk.chat.util import Chat, reflections

from engines import arithmetic
from engines.chatml import Said, messages
from engines.errors import InvalidInputError
from engines.sampling import Sampling
from engines.skills import SKILLS, Asked

_CLOSE_ENOUGH = 0.8
"""Likeness from which a sentence counts as a misheard example; below about 0.75 different requests meet."""


class _Reflections(Chat):  # type: ignore[misc]  # NLTK has no types
    """NLTK's ELIZA with the choice among its answers given from outside: its own is a global random number."""

    def __init__(self) -> None:
        # 'quit' ends a terminal session; here it is a word like others.
        super().__init__([pair for pair in pairs if pair[0] != "quit"], reflections)

    def reflect(self, text: str, chance: random.Random) -> str:
        for pattern, answers in self._pairs:
            match = pattern.match(text)
            if match:
                answer = self._wildcards(chance.choice(answers), match)
                return " ".join(re.sub(r"[\s.?!]*([.?!])$", r"\1", str(answer)).split())
        raise AssertionError("ELIZA's last pattern matches everything")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of an answer: its text with the space before it, how many tokens that is, and why it is the last one."""

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"] | None


class Eliza:
    """The conversationalist. `name` is what it calls itself unless the prompt's instructions say otherwise."""

    def __init__(self, name: str = "GoAssist", *, clock: Callable[[], datetime] = datetime.now) -> None:
        self._name = name
        self._clock = clock
        self._reflections = _Reflections()

    def reply(self, prompt: str) -> str:
        """The answer to the last user message of a ChatML prompt, or to a plain text."""
        said = messages(prompt)
        last = next((i for i in reversed(range(len(said))) if said[i].role == "user"), None)
        words = said[last].text if last is not None else "hello"
        asked = Asked(
            text=_plain(words),
            before=said[:last] if last is not None else said,
            name=self._named(said),
            now=self._clock(),
            chance=random.Random(zlib.crc32(prompt.encode())),
        )
        return arithmetic.answer(asked.text) or self._skilled(asked) or self._reflections.reflect(words, asked.chance)

    def generate(self, prompt: str, sampling: Sampling) -> Iterator[Word]:
        """Yield the reply to `prompt` word by word; the last one, which may be empty, says why it is the last.

        'stop': the reply is complete, or reached one of the stop texts. 'length': max_tokens words were written.
        """
        if not prompt.strip():
            raise InvalidInputError("text_input is empty")
        reply = self.reply(prompt)
        ends = [reply.find(stop) for stop in sampling.stop if stop in reply]
        tokens = _tokens(reply[: min(ends)] if ends else reply)
        written = tokens if sampling.max_tokens is None else tokens[: sampling.max_tokens]
        for token in written[:-1]:
            yield Word(token, 1, None)
        yield Word("".join(written[-1:]), len(written[-1:]), "stop" if len(written) == len(tokens) else "length")

    def count_tokens(self, text: str) -> int:
        """How many words `text` has; they stand for the tokens that a language model would count."""
        return len(_tokens(text))

    def _skilled(self, asked: Asked) -> str | None:
        for skill in SKILLS:
            if skill.pattern.search(asked.text):
                return skill.answer(asked)
        likeness, closest = max(
            ((_likeness(asked.text, example), skill) for skill in SKILLS for example in skill.examples),
            key=lambda pair: pair[0],
        )
        return closest.answer(asked) if likeness >= _CLOSE_ENOUGH else None

    def _named(self, said: Sequence[Said]) -> str:
        for message in said:
            match = message.role == "system" and re.search(
                r"\b(?:[Yy]our name is|[Yy]ou are called) (\w+)", message.text
            )
            if match:
                return match[1]
        return self._name


def _tokens(text: str) -> list[str]:
    """`text` word by word, each with the space before it: what counts as a token here."""
    return re.findall(r"\s*\S+", text)


def _plain(text: str) -> str:
    text = re.sub(r"[^\w\s'+*/=-]", " ", text.lower().replace("’", "'"))
    return " ".join(text.split())


def _likeness(text: str, example: str) -> float:
    return difflib.SequenceMatcher(None, text, example).ratio()
