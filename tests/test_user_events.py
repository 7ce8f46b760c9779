"""orchestrator/user_events.py: what waits for a transcript, and what does not."""

from orchestrator.core.events import Event, SpeechResumed, SpeechStarted, TurnEnded
from orchestrator.user_events import MAX_WAITING, UserEvents
from orchestrator.user_turn import UserTurn


class Told:
    """What was told, in order: events, and the numbers of the turns that were concluded."""

    def __init__(self) -> None:
        self.log: list[Event | int] = []
        self.events = UserEvents(deliver=self.log.append, concluded=lambda turn: self.log.append(turn.number))


def turn(number: int) -> UserTurn:
    return UserTurn(number, 0)


def test_what_was_done_after_a_turns_end_waits_for_its_text() -> None:
    told, first, second = Told(), turn(1), turn(2)
    told.events.add(SpeechStarted(1))
    told.events.end(first)
    told.events.add(SpeechStarted(2))
    told.events.end(second)
    second.text = "and again"
    told.events.go_on()
    assert told.log == [SpeechStarted(1)], "the second turn's text came first"
    first.text = "hello"
    told.events.go_on()
    assert told.log[1:] == [1, TurnEnded(1, "hello"), SpeechStarted(2), 2, TurnEnded(2, "and again")]


def test_where_too_much_waits_the_turn_ends_without_words() -> None:
    told, awaited = Told(), turn(1)
    told.events.end(awaited)
    done = [SpeechResumed(number) for number in range(MAX_WAITING)]
    for event in done[:-1]:
        told.events.add(event)
    assert told.log == []
    told.events.add(done[-1])
    assert told.log == [1, TurnEnded(1, ""), *done]
