"""When a row of the conversation's table holds. The docstrings are the labels of its diagram."""

from orchestrator.core.events import Event, ResponseRequested, SpeechPaused, SpeechStarted, TurnEnded, turn_of
from orchestrator.core.memory import Memory
from orchestrator.core.words import same_words


def always(memory: Memory, event: Event) -> bool:
    """"""
    return True


def new_turn(memory: Memory, event: Event) -> bool:
    """new turn"""
    return turn_of(event) > memory.latest


def requested(memory: Memory, event: Event) -> bool:
    """new turn, or awaited"""
    return new_turn(memory, event) or turn_of(event) == memory.awaited


def only_playing(memory: Memory, event: Event) -> bool:
    """new turn, the first to wait, the response is complete"""
    return memory.complete and not memory.kept and first_waiting(memory, event) and new_turn(memory, event)


def behind_speech(memory: Memory, event: Event) -> bool:
    """the first after what was kept"""
    return bool(memory.kept) and first_waiting(memory, event)


def first_waiting(memory: Memory, event: Event) -> bool:
    """the first to wait"""
    return not isinstance(memory.kept[-1], ResponseRequested) if memory.kept else memory.awaited is None


def interrupting(memory: Memory, event: Event) -> bool:
    """new turn, interruptible"""
    return not uninterruptible(memory, event) and new_turn(memory, event)


def uninterruptible(memory: Memory, event: Event) -> bool:
    """not interruptible, or behind what was kept"""
    # Where the client makes the agent interruptible meanwhile, earlier words would be lost behind later speech.
    return not memory.policy.interrupt_response or bool(memory.kept)


def of_utterance(memory: Memory, event: Event) -> bool:
    """of the open utterance"""
    return turn_of(event) == memory.utterance


def of_response(memory: Memory, event: Event) -> bool:
    """of this response"""
    return turn_of(event) == memory.response


def speculating(memory: Memory, event: Event) -> bool:
    """a response is held"""
    return memory.speculation is not None


def of_speculation(memory: Memory, event: Event) -> bool:
    """of the held response"""
    return memory.speculation is not None and turn_of(event) == memory.speculation.turn


def worth_speculating(memory: Memory, event: Event) -> bool:
    """words, not yet prepared"""
    assert isinstance(event, SpeechPaused)
    held = memory.speculation
    return (
        memory.policy.speculate
        and memory.policy.create_response
        and of_utterance(memory, event)
        and bool(event.text.strip())
        and not (held is not None and same_words(held.text, event.text))
    )


def foreseen(memory: Memory, event: Event) -> bool:
    """words, as speculated"""
    assert isinstance(event, TurnEnded)
    held = memory.speculation
    return answerable(memory, event) and held is not None and same_words(held.text, event.text)


def answerable(memory: Memory, event: Event) -> bool:
    """words, for an automatic response"""
    assert isinstance(event, TurnEnded)
    return memory.policy.create_response and not event.by_client and with_words(memory, event)


def with_words(memory: Memory, event: Event) -> bool:
    """words"""
    assert isinstance(event, TurnEnded)
    return of_utterance(memory, event) and bool(event.text.strip())


def of_kept_speech(memory: Memory, event: Event) -> bool:
    """of speech that was kept"""
    return any(isinstance(kept, SpeechStarted) and kept.turn == turn_of(event) for kept in memory.kept)


def interrupting_words(memory: Memory, event: Event) -> bool:
    """words, interruptible"""
    return memory.policy.interrupt_response and with_words(memory, event)


def still_unanswered(memory: Memory, event: Event) -> bool:
    """no words, the turn before is unanswered"""
    return memory.unanswered is not None and of_utterance(memory, event)


def of_pause(memory: Memory, event: Event) -> bool:
    """of the speech that paused playout"""
    return memory.paused and of_utterance(memory, event)
