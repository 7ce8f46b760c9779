"""One question and its answer, as the caller met with it: asked, waited for, measured."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from goassist_client.client import Spoken, VoiceClient
from goassist_client.errors import NoAnswerError
from goassist_client.events import ServerEvent
from goassist_client.recording import SAMPLE_RATE
from goassist_client.sound import SILENCE_DBFS, Samples

# After these there is no answer, as after a `response.done` that failed.
_FAILURES = "error", "conversation.item.input_audio_transcription.failed"


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one question.

    asked: the words as the server understood them, or as they were typed.
    status: completed, cancelled, failed, or unanswered; `error` says why where it is not completed.
    states: the conversation's states with the time each was entered.
    server_ms: the fields of goassist.metrics whose name ends in _ms, without that ending.
    voice_to_voice_ms: last audible sample sent → first audible packet of the answer, measured here.
    audible_s, level_dbfs: how much sound the answer had and how loud it was.
    """

    asked: str
    answer: str
    status: str
    error: str | None
    states: tuple[tuple[str, float], ...]
    server_ms: dict[str, float | None]
    voice_to_voice_ms: float | None
    answer_began_s: float | None
    answer_ended_s: float | None
    audible_s: float
    level_dbfs: float

    def as_json(self) -> dict[str, Any]:
        """The turn as values for json.dumps, times in seconds on the client's clock."""
        fields = dataclasses.asdict(self)
        fields["states"] = [{"state": state, "at_s": round(at_s, 3)} for state, at_s in self.states]
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in fields.items()}


async def ask(client: VoiceClient, sound: str | Path | bytes | Samples, *, timeout_s: float = 20.0) -> Turn:
    """Say `sound` and hear the whole answer. `timeout_s` bounds the wait for its beginning, and each of its pauses.

    Raises SoundError and ConnectionLostError; a missing answer is a Turn with its status.
    """
    since_s = client.now()
    spoken = await client.say(sound)
    # A long question may be answered and interrupted in its own pauses: only what follows its end counts.
    return await _answer(client, since_s, spoken, timeout_s)


async def ask_in_writing(client: VoiceClient, text: str, *, timeout_s: float = 20.0) -> Turn:
    """Type `text` and hear the whole answer; as `ask` otherwise."""
    since_s = client.now()
    client.write(text)
    turn = await _answer(client, since_s, None, timeout_s)
    return dataclasses.replace(turn, asked=text)


async def _answer(client: VoiceClient, since_s: float, spoken: Spoken | None, timeout_s: float) -> Turn:
    after_s = spoken.speech_ended_s if spoken else since_s
    status, error, response_id = "unanswered", None, None
    try:
        end = await _ended(client, after_s, timeout_s, "response.done", *_FAILURES, where=_final)
        if end.type in _FAILURES:
            status, error = "failed", str(end["error"].get("message"))
        else:
            response = end["response"]
            response_id, status = response["id"], response["status"]
            error = failure_of(response) if status != "completed" else None
            if status == "completed" and _spoken(client.events, response_id):
                of_it = partial(_of_response, response_id)
                played = "output_audio_buffer.stopped", "output_audio_buffer.cleared"
                await _ended(client, after_s, timeout_s, *played, where=of_it)
    except NoAnswerError as failure:
        error = str(failure)
    if client.heard.last_audible_s(after_s) is not None:
        # The event may overtake the last packets.
        with suppress(NoAnswerError):
            await client.wait_until_silent(for_s=0.1, timeout_s=1.0)
    return _turn(client, since_s, after_s, spoken, response_id, status, error)


def _turn(
    client: VoiceClient,
    since_s: float,
    after_s: float,
    spoken: Spoken | None,
    response_id: str | None,
    status: str,
    error: str | None,
) -> Turn:
    events = [event for event in client.events if event.at_s >= since_s]
    asked = [e["transcript"] for e in events if e.type == "conversation.item.input_audio_transcription.completed"]
    metrics = next((e for e in events if e.type == "goassist.metrics" and e.get("response_id") == response_id), None)
    began_s = client.heard.first_audible_s(after_s)
    return Turn(
        asked=" ".join(text.strip() for text in asked if text.strip()),
        answer=answer_text(events, response_id),
        status=status,
        error=error,
        states=tuple((e["state"], e.at_s) for e in events if e.type == "goassist.state"),
        server_ms={
            name.removesuffix("_ms"): value
            for name, value in (metrics.fields if metrics else {}).items()
            if name.endswith("_ms")
        },
        voice_to_voice_ms=(began_s - spoken.speech_ended_s) * 1000 if spoken and began_s is not None else None,
        answer_began_s=began_s,
        answer_ended_s=client.heard.last_audible_s(after_s),
        audible_s=client.heard.audible_s(after_s),
        level_dbfs=client.heard.level_dbfs(after_s) if began_s is not None else SILENCE_DBFS,
    )


def answer_text(events: Sequence[ServerEvent], response_id: str | None) -> str:
    """The words of a response, of its sound or of its text, as far as they came."""
    deltas = ("response.output_audio_transcript.delta", "response.output_text.delta")
    mine = [event for event in events if event.get("response_id") == response_id and response_id is not None]
    return "".join(event["delta"] for event in mine if event.type in deltas).strip()


def answers_as_sound(client: VoiceClient, turns: Sequence[Turn]) -> Samples:
    """The sound of the answers one after another, 48 kHz, without the silence around them."""
    pause = np.zeros(SAMPLE_RATE // 4, np.int16)
    pieces = []
    for turn in turns:
        if turn.answer_began_s is not None and turn.answer_ended_s is not None:
            pieces += [client.heard.samples(turn.answer_began_s - 0.02, turn.answer_ended_s + 0.03), pause]
    return np.concatenate(pieces[:-1]) if pieces else np.zeros(0, np.int16)


def failure_of(response: dict[str, Any]) -> str:
    """Why a response, as `response.done` has it, is not complete."""
    error = (response.get("status_details") or {}).get("error") or {}
    return str(error.get("message") or error.get("code") or "the response ended early")


def _final(event: ServerEvent) -> bool:
    # A response that the question itself interrupted is not its answer.
    return event.type in _FAILURES or event["response"]["status"] != "cancelled"


def _spoken(events: Sequence[ServerEvent], response_id: str) -> bool:
    return any(
        event.type == "response.output_audio_transcript.delta" and event.get("response_id") == response_id
        for event in events
    )


async def _ended(
    client: VoiceClient, after_s: float, timeout_s: float, *event_types: str, where: Callable[[ServerEvent], bool]
) -> ServerEvent:
    """An event that ends the answer, however long the answer is, as long as words or sound of it keep coming."""
    while True:
        try:
            return await client.wait_for(*event_types, where=where, after_s=after_s, timeout_s=timeout_s)
        except NoAnswerError:
            latest_event_s = client.events[-1].at_s if client.events else 0.0
            latest_sound_s = client.heard.last_audible_s(after_s) or 0.0
            if max(latest_event_s, latest_sound_s, after_s) < client.now() - timeout_s:
                raise


def _of_response(response_id: str, event: ServerEvent) -> bool:
    return bool(event.get("response_id") == response_id)
