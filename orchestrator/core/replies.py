"""Are a few words over the last moments of what the agent said a reply to it, though too little to interrupt?

A moment later any word would be one: an overlap so short is how people take turns. A sign of listening may have been
meant for what came before, so it replies only where it says yes to a question; then both would wait for each other.
"""

from orchestrator.core.interruption import is_backchannel
from orchestrator.core.words import words_of

# Of the signs of listening, those that say yes. What a recogniser makes of a cough or an 'uh-huh' is not among them.
_ASSENT = {"yes", "yeah", "yep", "ok", "okay", "right", "sure", "alright", "true", "exactly"}
_ASSENT |= {"はい", "ええ", "是", "是的", "对", "對", "好", "好的", "네", "예", "응"}
# What may stand behind a question mark, and the marks themselves.
_CLOSERS = " \t\n\"'”’»)]」』*_"
_QUESTION_MARKS = ("?", "？", "؟")


def is_reply(text: str, *, to: str) -> bool:
    """Whether `text`, said when nearly all of the agent's `to` had been heard, replies to it."""
    if not is_backchannel(text):
        return True
    return to.rstrip(_CLOSERS).endswith(_QUESTION_MARKS) and not _ASSENT.isdisjoint(words_of(text))
