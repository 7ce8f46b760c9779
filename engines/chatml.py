"""Chat prompts in the ChatML format, read back: the offline conversationalist answers to what was said last."""

import re
from dataclasses import dataclass

_MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|(?=<\|im_start\|>)|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a prompt; `role` is system, user or assistant."""

    role: str
    text: str


def messages(prompt: str) -> list[Said]:
    """The messages of a ChatML prompt in order; a prompt of any other form is one user message.

    The empty assistant message at the end, which asks for the answer, is left out.
    """
    found = [Said(match[1], match[2].strip()) for match in _MESSAGE.finditer(prompt)]
    if not found:
        return [Said("user", prompt.strip())]
    if found[-1] == Said("assistant", ""):
        found.pop()
    return found
