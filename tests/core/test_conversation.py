"""The conversation's table, event by event; what holds for every order of events is in test_every_order.py."""

import pytest

from orchestrator.core.conversation import Conversation
from orchestrator.core.events import (
    CancelRequested,
    CancelResponse,
    CloseSession,
    Command,
    CommitUserTurn,
    DropSpeculation,
    Enter,
    Event,
    HungUp,
    InterruptionConfirmed,
    InterruptionRejected,
    PausePlayout,
    PlaybackFinished,
    PlaybackStarted,
    PromptChanged,
    RefuseResponse,
    ReleaseResponse,
    ReportFailure,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseRequested,
    ResumePlayout,
    Speculate,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    StartResponse,
    State,
    TruncateHistory,
    TurnEnded,
)
from orchestrator.core.memory import Policy

IDLE, LISTENING, THINKING, SPEAKING, INTERRUPTED = State

# How each state is reached in the plainest way; the user's turn is 1.
PATHS: dict[State, list[Event]] = {
    IDLE: [],
    LISTENING: [SpeechStarted(1)],
    THINKING: [SpeechStarted(1), TurnEnded(1, "hello there")],
    SPEAKING: [SpeechStarted(1), TurnEnded(1, "hello there"), PlaybackStarted(1)],
    INTERRUPTED: [SpeechStarted(1), TurnEnded(1, "hello there"), PlaybackStarted(1), CancelRequested()],
}

# Every event in every state: the next state and the commands besides Enter. What is not listed changes nothing.
EXPECTED: dict[tuple[State, Event], tuple[State, list[Command]]] = {
    (IDLE, SpeechStarted(2)): (LISTENING, []),
    (IDLE, ResponseRequested(2)): (THINKING, [StartResponse(2)]),
    (LISTENING, SpeechStarted(2)): (LISTENING, []),
    (LISTENING, SpeechPaused(1, "so")): (LISTENING, [Speculate(1, "so")]),
    (LISTENING, TurnEnded(1, "so it is")): (THINKING, [CommitUserTurn(1, "so it is"), StartResponse(1)]),
    (LISTENING, TurnEnded(1, "")): (LISTENING, []),
    (LISTENING, ResponseRequested(2)): (THINKING, [StartResponse(2)]),
    (THINKING, PlaybackStarted(1)): (SPEAKING, []),
    (THINKING, SpeechStarted(2)): (INTERRUPTED, [CancelResponse(1)]),
    (THINKING, ResponseFailed(1)): (LISTENING, [ReportFailure(1)]),
    (THINKING, PlaybackFinished(1)): (LISTENING, []),
    (THINKING, CancelRequested()): (INTERRUPTED, [CancelResponse(1)]),
    (THINKING, ResponseRequested(2)): (THINKING, [RefuseResponse(2)]),
    (SPEAKING, SpeechStarted(2)): (SPEAKING, [PausePlayout(1)]),
    (SPEAKING, PlaybackFinished(1)): (LISTENING, []),
    (SPEAKING, ResponseFailed(1)): (SPEAKING, [ReportFailure(1)]),
    (SPEAKING, CancelRequested()): (INTERRUPTED, [CancelResponse(1), TruncateHistory(1)]),
    (SPEAKING, ResponseRequested(2)): (SPEAKING, [RefuseResponse(2)]),
    (INTERRUPTED, ResponseCancelled(1)): (LISTENING, []),
}

EVENTS: list[Event] = [
    SpeechStarted(2),
    SpeechPaused(1, "so"),
    SpeechResumed(1),
    TurnEnded(1, "so it is"),
    TurnEnded(1, ""),
    ResponseRequested(2),
    PlaybackStarted(1),
    PlaybackFinished(1),
    ResponseFailed(1),
    ResponseCancelled(1),
    InterruptionConfirmed(1),
    InterruptionRejected(1),
    CancelRequested(),
    PromptChanged(),
]


def conversation_in(state: State) -> Conversation:
    conversation = Conversation()
    feed(conversation, *PATHS[state])
    assert conversation.state is state
    return conversation


def feed(conversation: Conversation, *events: Event) -> list[Command]:
    return [command for event in events for command in conversation.receive(event)]


def without_entries(commands: list[Command]) -> list[Command]:
    return [command for command in commands if not isinstance(command, Enter)]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_event_in_every_state_does_what_the_design_says(state: State, event: Event) -> None:
    conversation = conversation_in(state)
    commands = conversation.receive(event)
    expected_state, expected_commands = EXPECTED.get((state, event), (state, []))
    assert conversation.state is expected_state
    assert without_entries(commands) == expected_commands


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_a_hang_up_closes_any_state_once(state: State) -> None:
    conversation = conversation_in(state)
    assert conversation.receive(HungUp()) == [CloseSession()]
    assert feed(conversation, HungUp(), *EVENTS) == []


def test_a_change_of_state_is_told_with_where_it_came_from() -> None:
    assert Conversation().receive(SpeechStarted(1)) == [Enter(LISTENING, IDLE, 1)]


def test_an_interruption_is_confirmed_in_two_steps() -> None:
    conversation = conversation_in(SPEAKING)
    assert conversation.receive(SpeechStarted(2)) == [PausePlayout(1)]
    assert conversation.paused
    confirmed = conversation.receive(InterruptionConfirmed(2))
    assert confirmed == [Enter(INTERRUPTED, SPEAKING, 2), CancelResponse(1), TruncateHistory(1)]
    assert conversation.receive(ResponseCancelled(1)) == [Enter(LISTENING, INTERRUPTED, 1)]
    assert StartResponse(2) in conversation.receive(TurnEnded(2, "what about tomorrow"))


def test_a_cough_lets_the_agent_go_on_where_it_paused() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, SpeechStarted(2))
    assert conversation.receive(InterruptionRejected(2)) == [ResumePlayout(1)]
    assert conversation.state is SPEAKING
    assert not conversation.paused
    assert conversation.receive(TurnEnded(2, "uh huh")) == []


def test_words_that_end_before_the_verdict_interrupt_and_are_answered() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, SpeechStarted(2))
    assert CancelResponse(1) in conversation.receive(TurnEnded(2, "stop it"))
    answered = conversation.receive(ResponseCancelled(1))
    assert without_entries(answered) == [CommitUserTurn(2, "stop it"), StartResponse(2)]
    assert conversation.state is THINKING


def test_silence_that_ends_before_the_verdict_resumes() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, SpeechStarted(2))
    assert conversation.receive(TurnEnded(2, "")) == [ResumePlayout(1)]


def test_a_turn_that_ends_while_the_response_is_cancelled_is_kept() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, SpeechStarted(2), InterruptionConfirmed(2))
    assert feed(conversation, TurnEnded(2, "another thing")) == []
    assert StartResponse(2) in conversation.receive(ResponseCancelled(1))


def test_speculation_that_was_right_is_released() -> None:
    conversation = conversation_in(LISTENING)
    assert conversation.receive(SpeechPaused(1, "what time is it")) == [Speculate(1, "what time is it")]
    commands = conversation.receive(TurnEnded(1, "What time is it?"))
    assert without_entries(commands) == [CommitUserTurn(1, "What time is it?"), ReleaseResponse(1)]


def test_speculation_is_dropped_when_the_speaker_goes_on() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "what time"))
    assert conversation.receive(SpeechResumed(1)) == [DropSpeculation(1)]
    assert conversation.receive(SpeechResumed(1)) == []


def test_speculation_on_other_words_is_replaced() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "what time"))
    assert conversation.receive(SpeechPaused(1, "what time is it")) == [
        DropSpeculation(1),
        Speculate(1, "what time is it"),
    ]
    assert conversation.receive(SpeechPaused(1, "What time is it?")) == []


def test_speculation_is_dropped_when_the_client_changes_what_answers_are_made_of() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "what time is it"))
    assert conversation.receive(PromptChanged()) == [DropSpeculation(1)]
    assert StartResponse(1) in conversation.receive(TurnEnded(1, "what time is it"))


def test_speculation_that_was_wrong_is_dropped_at_the_turns_end() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "what time"))
    commands = without_entries(conversation.receive(TurnEnded(1, "what time is dinner")))
    assert commands == [DropSpeculation(1), CommitUserTurn(1, "what time is dinner"), StartResponse(1)]


def test_speculation_that_failed_is_forgotten_and_the_turn_is_answered_anew() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "hello there"))
    assert conversation.receive(ResponseFailed(1)) == [DropSpeculation(1)]
    assert StartResponse(1) in conversation.receive(TurnEnded(1, "hello there"))


def test_a_noise_before_the_first_sound_does_not_lose_the_question() -> None:
    conversation = conversation_in(THINKING)
    assert CancelResponse(1) in conversation.receive(SpeechStarted(2))
    feed(conversation, ResponseCancelled(1))
    assert without_entries(conversation.receive(TurnEnded(2, ""))) == [StartResponse(2, instead_of=1)]


def test_a_noise_does_not_ask_a_question_again_that_words_have_replaced() -> None:
    conversation = conversation_in(THINKING)
    conversation.set_policy(Policy(create_response=False))
    feed(conversation, SpeechStarted(2), ResponseCancelled(1), TurnEnded(2, "never mind"), SpeechStarted(3))
    assert conversation.receive(TurnEnded(3, "")) == []


def test_a_cancelled_question_is_not_asked_again_by_a_noise() -> None:
    conversation = conversation_in(THINKING)
    feed(conversation, CancelRequested(), ResponseCancelled(1), SpeechStarted(2))
    assert conversation.receive(TurnEnded(2, "")) == []


def test_late_playback_of_a_cancelled_turn_is_ignored() -> None:
    conversation = conversation_in(THINKING)
    feed(conversation, SpeechStarted(2), ResponseCancelled(1), TurnEnded(2, "and now this"))
    assert conversation.state is THINKING
    assert feed(conversation, PlaybackStarted(1), PlaybackFinished(1), ResponseFailed(1)) == []
    assert conversation.state is THINKING


def test_a_failure_in_mid_answer_lets_what_is_there_be_spoken() -> None:
    conversation = conversation_in(SPEAKING)
    assert conversation.receive(ResponseFailed(1)) == [ReportFailure(1)]
    assert conversation.receive(PlaybackFinished(1)) == [Enter(LISTENING, SPEAKING, 1)]


@pytest.mark.parametrize("state", [THINKING, SPEAKING], ids=lambda state: state.name)
def test_a_response_asked_for_when_one_is_complete_follows_it(state: State) -> None:
    conversation = conversation_in(state)
    assert feed(conversation, ResponseCompleted(1), ResponseRequested(2)) == []
    assert conversation.receive(ResponseRequested(3)) == [RefuseResponse(3)], "one is enough"
    assert without_entries(conversation.receive(PlaybackFinished(1))) == [StartResponse(2)]
    assert conversation.receive(ResponseRequested(4)) == [RefuseResponse(4)]


def test_an_awaited_response_outlasts_a_cough_and_a_cancellation() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, ResponseCompleted(1), ResponseRequested(2), SpeechStarted(3), InterruptionRejected(3))
    feed(conversation, CancelRequested())
    assert without_entries(conversation.receive(ResponseCancelled(1))) == [StartResponse(2)]


def test_who_interrupts_is_answered_in_place_of_what_the_client_had_asked_for() -> None:
    conversation = conversation_in(SPEAKING)
    feed(conversation, ResponseCompleted(1), ResponseRequested(2), SpeechStarted(3))
    assert RefuseResponse(2, overtaken=True) in conversation.receive(InterruptionConfirmed(3)), "nor forgotten"
    assert without_entries(conversation.receive(ResponseCancelled(1))) == []
    assert StartResponse(3) in conversation.receive(TurnEnded(3, "something else"))


def test_a_failed_answer_that_is_still_spoken_lets_another_follow() -> None:
    conversation = conversation_in(SPEAKING)
    assert feed(conversation, ResponseFailed(1), ResponseRequested(2)) == [ReportFailure(1)]
    assert without_entries(conversation.receive(PlaybackFinished(1))) == [StartResponse(2)]


def test_what_the_client_commits_is_answered_only_when_it_asks() -> None:
    conversation = conversation_in(LISTENING)
    feed(conversation, SpeechPaused(1, "take a note"))
    committed = conversation.receive(TurnEnded(1, "take a note", by_client=True))
    assert committed == [DropSpeculation(1), CommitUserTurn(1, "take a note")]
    assert without_entries(conversation.receive(ResponseRequested(2))) == [StartResponse(2)]


def test_speech_that_began_when_it_could_not_interrupt_is_kept_to_its_end() -> None:
    conversation = Conversation(Policy(interrupt_response=False))
    feed(conversation, *PATHS[SPEAKING], SpeechStarted(2))
    conversation.set_policy(Policy())
    assert feed(conversation, TurnEnded(2, "one more thing")) == []
    assert StartResponse(2) in conversation.receive(PlaybackFinished(1))


@pytest.mark.parametrize("state", [THINKING, SPEAKING], ids=lambda state: state.name)
@pytest.mark.parametrize("complete", [False, True])
def test_a_response_asked_for_behind_speech_that_waits_comes_after_it(state: State, complete: bool) -> None:
    conversation = Conversation(Policy(create_response=False, interrupt_response=False))
    feed(conversation, ResponseRequested(1), *[PlaybackStarted(1)] * (state is SPEAKING))
    feed(conversation, *[ResponseCompleted(1)] * complete)
    assert feed(conversation, SpeechStarted(2), TurnEnded(2, "book a table"), ResponseRequested(3)) == []
    assert conversation.receive(ResponseRequested(4)) == [RefuseResponse(4)], "one is enough"
    commands = without_entries(conversation.receive(PlaybackFinished(1)))
    assert commands == [CommitUserTurn(2, "book a table"), StartResponse(3)]


def test_speech_behind_speech_that_waits_waits_too_though_it_could_interrupt_by_now() -> None:
    conversation = Conversation(Policy(interrupt_response=False))
    feed(conversation, *PATHS[SPEAKING], SpeechStarted(2), TurnEnded(2, "one more thing"))
    conversation.set_policy(Policy())
    assert feed(conversation, SpeechStarted(3)) == []
    commands = without_entries(conversation.receive(PlaybackFinished(1)))
    assert commands[:2] == [CommitUserTurn(2, "one more thing"), StartResponse(2)]


def test_coughs_while_nothing_can_be_said_take_no_room_from_words() -> None:
    conversation = Conversation(Policy(interrupt_response=False))
    feed(conversation, *PATHS[SPEAKING], SpeechStarted(2), TurnEnded(2, "one more thing"))
    for turn in range(3, 100):
        assert feed(conversation, SpeechStarted(turn), TurnEnded(turn, "")) == []
    assert CommitUserTurn(2, "one more thing") in conversation.receive(PlaybackFinished(1))


def test_requests_while_nothing_can_be_begun_take_no_room_from_words() -> None:
    conversation = conversation_in(INTERRUPTED)
    feed(conversation, SpeechStarted(2), TurnEnded(2, "one more thing"), ResponseRequested(3))
    for turn in range(4, 100):
        assert conversation.receive(ResponseRequested(turn)) == [RefuseResponse(turn)]
    commands = without_entries(conversation.receive(ResponseCancelled(1)))
    assert commands == [CommitUserTurn(2, "one more thing"), StartResponse(2), RefuseResponse(3)]


def test_push_to_talk_commits_without_answering() -> None:
    conversation = Conversation(Policy(create_response=False, interrupt_response=False))
    feed(conversation, SpeechStarted(1))
    assert conversation.receive(TurnEnded(1, "take a note")) == [CommitUserTurn(1, "take a note")]
    assert without_entries(conversation.receive(ResponseRequested(2))) == [StartResponse(2)]


def test_an_agent_that_may_not_be_interrupted_answers_afterwards() -> None:
    conversation = Conversation(Policy(interrupt_response=False))
    feed(conversation, *PATHS[SPEAKING])
    assert feed(conversation, SpeechStarted(2), TurnEnded(2, "one more thing")) == []
    commands = conversation.receive(PlaybackFinished(1))
    assert without_entries(commands) == [CommitUserTurn(2, "one more thing"), StartResponse(2)]
    assert [c.state for c in commands if isinstance(c, Enter)] == [LISTENING, THINKING]
