"""What a row of the conversation's table does: the memory afterwards, and the commands, in order."""

from dataclasses import replace

from orchestrator.core.events import (
    CancelRequested,
    CancelResponse,
    Command,
    CommitUserTurn,
    DropSpeculation,
    Event,
    PausePlayout,
    RefuseResponse,
    ReleaseResponse,
    ReportFailure,
    ResumePlayout,
    Speculate,
    SpeechPaused,
    SpeechStarted,
    StartResponse,
    TruncateHistory,
    TurnEnded,
    turn_of,
)
from orchestrator.core.memory import Memory

# Speech that came to nothing is not kept, nor two requests in a row. Nobody says more sentences than that while a
# response is cancelled (a second) or speaks on without being interruptible (minutes at most).
MAX_KEPT_EVENTS = 64

Outcome = tuple[Memory, list[Command]]


def open_utterance(memory: Memory, event: Event) -> Outcome:
    turn = turn_of(event)
    return replace(memory, utterance=turn, latest=turn, speculation=None), _drop(memory)


def speculate(memory: Memory, event: Event) -> Outcome:
    assert isinstance(event, SpeechPaused)
    speculation = Speculate(event.turn, event.text)
    return replace(memory, speculation=speculation), [*_drop(memory), speculation]


def drop_speculation(memory: Memory, event: Event) -> Outcome:
    return replace(memory, speculation=None), _drop(memory)


def start(memory: Memory, event: Event) -> Outcome:
    turn = turn_of(event)
    commands = [*_drop(memory), *_commit(event), StartResponse(turn)]
    return _answering(memory, turn), commands


def start_over(memory: Memory, event: Event) -> Outcome:
    turn = turn_of(event)
    return _answering(memory, turn), [*_drop(memory), StartResponse(turn, instead_of=memory.unanswered)]


def release(memory: Memory, event: Event) -> Outcome:
    turn = turn_of(event)
    return _answering(memory, turn), [*_commit(event), ReleaseResponse(turn)]


def commit_only(memory: Memory, event: Event) -> Outcome:
    # The client wants no answer of itself to these words, nor a later one to what they have replaced.
    return replace(memory, utterance=None, speculation=None, unanswered=None), [*_drop(memory), *_commit(event)]


def close_utterance(memory: Memory, event: Event) -> Outcome:
    return replace(memory, utterance=None, speculation=None), _drop(memory)


def play(memory: Memory, event: Event) -> Outcome:
    return replace(memory, unanswered=None), []


def complete(memory: Memory, event: Event) -> Outcome:
    return replace(memory, complete=True), []


def await_response(memory: Memory, event: Event) -> Outcome:
    turn = turn_of(event)
    return replace(memory, awaited=turn, latest=turn), []


def refuse(memory: Memory, event: Event) -> Outcome:
    return memory, [RefuseResponse(turn_of(event))]


def finish(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None, paused=False, unanswered=None), []


def fail(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None), [ReportFailure(turn_of(event))]


def report(memory: Memory, event: Event) -> Outcome:
    return replace(memory, complete=True), [ReportFailure(turn_of(event))]


def pause(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    commands: list[Command] = [] if memory.paused else [PausePlayout(memory.response)]
    memory, _ = open_utterance(memory, event)
    return replace(memory, paused=True), commands


def resume(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    return replace(memory, utterance=None, paused=False), [ResumePlayout(memory.response)]


def overtake(memory: Memory, event: Event) -> Outcome:
    """Speech before the first sound: the question that was asked stays unanswered."""
    turn = memory.response
    memory, commands = cancel(memory, event)
    opened, _ = open_utterance(memory, event)
    return replace(opened, unanswered=turn), commands


def cancel(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    commands: list[Command] = [CancelResponse(memory.response)]
    awaited = memory.awaited
    if awaited is not None and not isinstance(event, CancelRequested):
        # Who speaks is answered by what is said now. What a client asked for before it cancelled, it still wants.
        commands.append(RefuseResponse(awaited, overtaken=True))
        awaited = None
    return replace(memory, paused=False, unanswered=None, awaited=awaited), commands


def cancel_heard(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    turn = memory.response
    memory, commands = cancel(memory, event)
    return memory, [*commands, TruncateHistory(turn)]


def cancel_and_keep(memory: Memory, event: Event) -> Outcome:
    memory, commands = cancel(memory, event)
    return keep(memory, event)[0], commands


def cancel_heard_and_keep(memory: Memory, event: Event) -> Outcome:
    memory, commands = cancel_heard(memory, event)
    return keep(memory, event)[0], commands


def keep(memory: Memory, event: Event) -> Outcome:
    if isinstance(event, TurnEnded) and not event.text.strip() and SpeechStarted(event.turn) in memory.kept:
        return replace(memory, kept=tuple(each for each in memory.kept if each != SpeechStarted(event.turn))), []
    return replace(memory, kept=(*memory.kept, event)[-MAX_KEPT_EVENTS:]), []


def forget_response(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None), []


def _answering(memory: Memory, turn: int) -> Memory:
    return replace(
        memory,
        utterance=None if memory.utterance == turn else memory.utterance,
        speculation=None,
        response=turn,
        complete=False,
        awaited=None if memory.awaited == turn else memory.awaited,
        unanswered=None,
        latest=max(memory.latest, turn),
    )


def _drop(memory: Memory) -> list[Command]:
    return [DropSpeculation(memory.speculation.turn)] if memory.speculation is not None else []


def _commit(event: Event) -> list[Command]:
    return [CommitUserTurn(event.turn, event.text)] if isinstance(event, TurnEnded) and event.text.strip() else []
