"""Four scripted calls as `make dialogue` holds them; its targets are for an idle machine, the bounds here for any."""

import asyncio

import pytest

from benchmarks.dialogue.__main__ import perform
from benchmarks.dialogue.script import ABILITIES, STORY, Disturb, Interrupt, Say, Script
from benchmarks.dialogue.talk import Observed
from tests.end_to_end.stack import Stack

SCRIPTS = (
    Script("interruption", (STORY, Interrupt("What time is it?"))),
    Script("pause", (Say(("I would like to know", 600, "what time it is.")),)),
    Script("question", (Say(("What is your name?",)),)),
    # The cough and the 'right' sound like a voice at first, so that playout pauses and resumes; the far voice is one.
    Script("not meant", (ABILITIES, Disturb("cough"), Disturb("side speech", 3.5), Disturb("right", 7.0))),
)


@pytest.fixture(scope="module")
def calls(stack: Stack) -> dict[str, Observed]:
    """What the four calls brought to light, by their scripts' names."""
    observed = asyncio.run(perform(SCRIPTS, stack.url, calls=2))
    return {each.name: each for each in observed}


def account(call: Observed) -> str:
    """What happened in a call, for whoever wonders why it went wrong."""
    return "\n".join([call.name, *call.log])


# Seen: 0.2 to 0.5 s, 0.8 s beside three busy programs on two cores; 1.0 s of whoever paused before.
@pytest.mark.parametrize(
    ("name", "answers", "within_s"),
    [("question", 1, 1.5), ("interruption", 2, 1.5), ("not meant", 1, 1.5), ("pause", 1, 2.5)],
)
def test_every_question_is_answered_and_soon(
    calls: dict[str, Observed], name: str, answers: int, within_s: float
) -> None:
    call = calls[name]
    assert call.missed == 0, account(call)
    assert len(call.delays) == answers, account(call)
    assert 0 < min(call.delays) <= max(call.delays) < within_s, account(call)


def test_a_pause_in_a_sentence_that_cannot_be_all_is_not_taken_for_its_end(calls: dict[str, Observed]) -> None:
    call = calls["pause"]
    (pause,) = call.pauses
    assert pause.length_s > 0.55, account(call)
    assert not pause.taken, account(call)


def test_an_interruption_stops_the_agent_which_remembers_the_words_that_were_heard(
    calls: dict[str, Observed],
) -> None:
    call = calls["interruption"]
    assert call.unstopped == 0, account(call)
    assert call.stops[0] < 0.5, account(call)  # seen: 0.06 to 0.14 s
    assert len(call.words) == 1, account(call)
    heard, kept = call.words[0]
    assert heard > 2, account(call)
    assert abs(heard - kept) <= 1, account(call)


def test_an_answer_goes_on_after_a_cough_a_far_voice_and_a_sign_of_listening_and_is_heard_whole(
    calls: dict[str, Observed],
) -> None:
    call = calls["not meant"]
    assert call.resumed[:2] == [("cough", True), ("side speech", True)], account(call)
    assert len(call.lost) == 1, account(call)  # measured where the answer came to its end
    assert call.lost[0] < 0.3, account(call)
    assert max(call.silences) < 1.5, account(call)  # seen: 0.3 to 0.8 s
