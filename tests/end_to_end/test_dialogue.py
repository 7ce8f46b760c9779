"""Three scripted calls as `make dialogue` holds them; its targets are for an idle machine, the bounds here for any."""

import asyncio

import pytest

from benchmarks.dialogue.__main__ import perform
from benchmarks.dialogue.script import ABILITIES, STORY, Disturb, Interrupt, Say, Script
from benchmarks.dialogue.talk import Observed
from tests.end_to_end.stack import Stack

SCRIPTS = (
    Script("interruption", (STORY, Interrupt("What time is it?"))),
    Script("question", (Say(("What is your name?",)),)),
    # The cough and the 'right' sound like a voice at first, so that playout pauses and resumes; the far voice is one.
    Script("not meant", (ABILITIES, Disturb("cough"), Disturb("side speech", 3.5), Disturb("right", 7.0))),
)


@pytest.fixture(scope="module")
def calls(stack: Stack) -> dict[str, Observed]:
    """What the three calls brought to light, by their scripts' names."""
    observed = asyncio.run(perform(SCRIPTS, stack.url, calls=2))
    return {each.name: each for each in observed}


def account(call: Observed) -> str:
    """What happened in a call, for whoever wonders why it went wrong."""
    return "\n".join([call.name, *call.log])


@pytest.mark.parametrize(("name", "answers"), [("question", 1), ("interruption", 2), ("not meant", 1)])
def test_every_question_is_answered_and_soon(calls: dict[str, Observed], name: str, answers: int) -> None:
    call = calls[name]
    assert call.missed == 0, account(call)
    assert len(call.delays) == answers, account(call)
    assert 0 < min(call.delays) <= max(call.delays) < 4, account(call)


def test_an_interruption_stops_the_agent_which_remembers_the_words_that_were_heard(
    calls: dict[str, Observed],
) -> None:
    call = calls["interruption"]
    assert call.unstopped == 0, account(call)
    assert call.stops[0] < 1.0, account(call)
    assert len(call.words) == 1, account(call)
    heard, kept = call.words[0]
    assert heard > 2, account(call)
    assert abs(heard - kept) <= 2, account(call)


def test_an_answer_goes_on_after_a_cough_a_far_voice_and_a_sign_of_listening_and_is_heard_whole(
    calls: dict[str, Observed],
) -> None:
    call = calls["not meant"]
    assert call.resumed[:2] == [("cough", True), ("side speech", True)], account(call)
    assert len(call.lost) == 1, account(call)  # measured where the answer came to its end
    assert call.lost[0] < 0.5, account(call)
    assert max(call.silences) < 3, account(call)
