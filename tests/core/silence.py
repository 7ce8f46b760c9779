"""A speaker falls silent, and the end-of-turn model has its say."""

from tests.core.microphone import SILENCE, Microphone, speaking

ASKED_MS = 128  # the silence after which recogniser and model have been asked


def silent(microphone: Microphone) -> Microphone:
    """The speaker has been silent just long enough for both to be asked."""
    microphone.hears(SILENCE, ASKED_MS)
    return microphone


def silent_after(text: str) -> Microphone:
    """Of whoever said that."""
    return silent(speaking(text))


def judged(microphone: Microphone, opinion: float | None) -> int:
    """The speaker falls silent, and the model thinks so of it: the silence in ms that would end the turn then."""
    silent(microphone).endpointer.judge(opinion)
    return microphone.endpointer.wait_ms()


def end_ms(microphone: Microphone, opinion: float | None) -> int:
    """The same, and the silence goes on: after how many ms the turn ended."""
    ended = silent(microphone).endpointer.judge(opinion)
    return ASKED_MS if ended else ASKED_MS + microphone.silence_until_the_end_ms()
