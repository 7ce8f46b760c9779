"""What a session tells → server events of the Realtime API, as JSON text in the documented order.

The models of openai.types.realtime validate each event as it is made: with their serialiser that costs 4 µs, which is
less than they take to be constructed without.
"""

import logging
from collections.abc import Callable
from itertools import count
from typing import Any

from openai.types import realtime as api
from openai.types.realtime import conversation_item_input_audio_transcription_completed_event as transcription
from openai.types.realtime import conversation_item_input_audio_transcription_failed_event as transcription_failed
from openai.types.realtime.realtime_server_event import (
    ConversationItemRetrieved,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)
from pydantic import BaseModel

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item
from orchestrator.errors import GoAssistError, InvalidRequestError
from orchestrator.realtime.config import session_to_wire
from orchestrator.realtime.extensions import (
    WITHOUT,
    DegradedEvent,
    MetricsEvent,
    NoticeEvent,
    StateEvent,
    TranscriptEvent,
)
from orchestrator.realtime.items import item_to_wire
from orchestrator.realtime.response_events import ResponseEvents

LOGGER = logging.getLogger(__name__)

# Utterances whose transcript is under way: the one that is spoken and the one before it.
OPEN_UTTERANCES = 4


class ServerEvents:
    """The server's side of one conversation. `emit` takes each event's text, in order, and must not block.

    `with_audio`: the answers' sound goes out as events too, and nothing is said of an output buffer: a WebSocket.
    `extensions`: with the events that the API does not have.
    """

    def __init__(
        self,
        session_id: str,
        config: SessionConfig,
        emit: Callable[[str], None],
        *,
        with_audio: bool = False,
        extensions: bool = True,
    ) -> None:
        self._session_id = session_id
        self._tag = session_id.rpartition("_")[2]
        self._config = config
        self._emit = emit
        self._with_audio = with_audio
        self._extensions = extensions
        self._numbers = count(1)
        responses = ResponseEvents(self._send, f"conv_{self._tag}", with_audio=with_audio)
        self._transcribed: dict[str, str] = {}  # by user item: what of its words was sent as deltas
        self._partial: told.TranscriptPartial | None = None
        self._tellers: dict[type, Callable[[Any], None]] = {
            told.StateChanged: self._state_changed,
            told.SpeechStarted: self._speech_started,
            told.SpeechStopped: self._speech_stopped,
            told.TimeoutTriggered: self._timeout_triggered,
            told.AudioCommitted: self._audio_committed,
            told.AudioCleared: self._audio_cleared,
            told.TranscriptPartial: self._transcript_partial,
            told.TranscriptCompleted: self._transcript_completed,
            told.ItemAdded: self._item_added,
            told.ItemDone: self._item_done,
            told.ItemDeleted: self._item_deleted,
            told.ItemTruncated: self._item_truncated,
            told.ResponseStarted: responses.started,
            told.ResponseText: responses.text,
            told.ResponseAudio: responses.audio,
            told.FunctionCalled: responses.called,
            told.ResponseFinished: responses.finished,
            told.OutputAudioStarted: self._output_started,
            told.OutputAudioStopped: self._output_stopped,
            told.OutputAudioCleared: self._output_cleared,
            told.TurnMetrics: self._turn_metrics,
            told.Degraded: self._degraded,
            told.Failed: self._failed,
            told.SpeculationDropped: _untold,
            told.InterruptionJudged: _untold,
            told.ContextSummarised: _untold,
        }

    def tell(self, notification: told.Notification) -> None:
        """Send what the API says about it: no event, one, or several."""
        self._tellers[type(notification)](notification)

    def session_created(self) -> None:
        """The first event of a connection."""
        session = session_to_wire(self._config, self._session_id)
        self._send(api.SessionCreatedEvent, type="session.created", session=session)
        self.goes_without(*self._config.without)

    def session_updated(self, config: SessionConfig) -> None:
        """The configuration changed."""
        self._config = config
        session = session_to_wire(config, self._session_id)
        self._send(api.SessionUpdatedEvent, type="session.updated", session=session)
        self.goes_without(*config.without)

    def goes_without(self, *names: str) -> None:
        """The client asked for these of WITHOUT. It is no `error`: some clients end the call at any."""
        for name in names:
            param, message = WITHOUT[name]
            LOGGER.info("a client goes without what it asked for", extra={"session": self._session_id, "param": param})
            self._extend(NoticeEvent, type="goassist.notice", param=param, message=message)

    def item_retrieved(self, item: Item) -> None:
        """The client asked for an item."""
        self._send(ConversationItemRetrieved, type="conversation.item.retrieved", item=item_to_wire(item))

    def error(self, error: GoAssistError, *, client_event_id: str | None = None) -> None:
        """A client event could not be served; the session goes on."""
        invalid = error if isinstance(error, InvalidRequestError) else None
        self._failed(
            told.Failed(
                error.code,
                str(error),
                "invalid_request_error" if invalid else "server_error",
                invalid.param if invalid else None,
                client_event_id,
            )
        )

    def _send(self, model: type[BaseModel], **fields: Any) -> None:
        event = model(event_id=f"event_{self._tag}_{next(self._numbers)}", **fields)
        self._emit(event.model_dump_json(exclude_unset=True))

    def _extend(self, model: type[BaseModel], **fields: Any) -> None:
        if self._extensions:
            self._send(model, **fields)

    # The user's side.

    def _state_changed(self, state: told.StateChanged) -> None:
        self._extend(
            StateEvent,
            type="goassist.state",
            state=state.state,
            previous=state.previous,
            turn=state.turn,
            at_ms=state.at_ms,
        )

    def _speech_started(self, speech: told.SpeechStarted) -> None:
        self._send(
            api.InputAudioBufferSpeechStartedEvent,
            type="input_audio_buffer.speech_started",
            item_id=speech.item_id,
            audio_start_ms=speech.audio_start_ms,
        )

    def _speech_stopped(self, speech: told.SpeechStopped) -> None:
        self._send(
            api.InputAudioBufferSpeechStoppedEvent,
            type="input_audio_buffer.speech_stopped",
            item_id=speech.item_id,
            audio_end_ms=speech.audio_end_ms,
        )

    def _timeout_triggered(self, silence: told.TimeoutTriggered) -> None:
        self._send(
            api.InputAudioBufferTimeoutTriggered,
            type="input_audio_buffer.timeout_triggered",
            item_id=silence.item_id,
            audio_start_ms=silence.audio_start_ms,
            audio_end_ms=silence.audio_end_ms,
        )

    def _audio_committed(self, committed: told.AudioCommitted) -> None:
        self._send(
            api.InputAudioBufferCommittedEvent,
            type="input_audio_buffer.committed",
            item_id=committed.item_id,
            previous_item_id=committed.previous_item_id,
        )

    def _audio_cleared(self, cleared: told.AudioCleared) -> None:
        self._send(api.InputAudioBufferClearedEvent, type="input_audio_buffer.cleared")

    def _transcript_partial(self, partial: told.TranscriptPartial) -> None:
        if partial == self._partial:
            return
        self._partial = partial
        self._extend(
            TranscriptEvent,
            type="goassist.transcript",
            item_id=partial.item_id,
            text=partial.text,
            stable_chars=partial.stable_chars,
        )
        self._transcript_delta(partial.item_id, partial.text[: partial.stable_chars])

    def _transcript_delta(self, item_id: str, text: str) -> None:
        """Send what `text` adds to the deltas before. Words once sent cannot be taken back by a delta."""
        sent = self._transcribed.get(item_id, "")
        if len(text) > len(sent) and text.startswith(sent):
            self._transcribed[item_id] = text
            if len(self._transcribed) > OPEN_UTTERANCES:
                del self._transcribed[next(iter(self._transcribed))]
            self._send(
                api.ConversationItemInputAudioTranscriptionDeltaEvent,
                type="conversation.item.input_audio_transcription.delta",
                item_id=item_id,
                content_index=0,
                delta=text[len(sent) :],
            )

    def _transcript_completed(self, completed: told.TranscriptCompleted) -> None:
        self._transcript_delta(completed.item_id, completed.text)
        self._transcribed.pop(completed.item_id, None)
        self._send(
            api.ConversationItemInputAudioTranscriptionCompletedEvent,
            type="conversation.item.input_audio_transcription.completed",
            item_id=completed.item_id,
            content_index=0,
            transcript=completed.text,
            usage=transcription.UsageTranscriptTextUsageDuration(type="duration", seconds=round(completed.audio_s, 3)),
        )

    def _transcription_failed(self, failed: told.Failed) -> None:
        assert failed.item_id is not None
        self._transcribed.pop(failed.item_id, None)
        self._send(
            api.ConversationItemInputAudioTranscriptionFailedEvent,
            type="conversation.item.input_audio_transcription.failed",
            item_id=failed.item_id,
            content_index=0,
            error=transcription_failed.Error(type=failed.kind, code=failed.code, message=failed.message),
        )

    # Items.

    def _item_added(self, added: told.ItemAdded) -> None:
        # The words of what was said come with the transcription's end: clients that take both would have them twice.
        item = item_to_wire(added.item, transcribed=added.done)
        place = {"previous_item_id": added.previous_item_id, "item": item}
        self._send(api.ConversationItemAdded, type="conversation.item.added", **place)
        if added.done:
            self._send(api.ConversationItemDone, type="conversation.item.done", **place)

    def _item_done(self, done: told.ItemDone) -> None:
        self._send(
            api.ConversationItemDone,
            type="conversation.item.done",
            previous_item_id=done.previous_item_id,
            item=item_to_wire(done.item),
        )

    def _item_deleted(self, deleted: told.ItemDeleted) -> None:
        self._send(api.ConversationItemDeletedEvent, type="conversation.item.deleted", item_id=deleted.item_id)

    def _item_truncated(self, truncated: told.ItemTruncated) -> None:
        # The API names no text; `transcript` is ours: what was heard, and is what the history keeps.
        self._send(
            api.ConversationItemTruncatedEvent,
            type="conversation.item.truncated",
            item_id=truncated.item_id,
            content_index=0,
            audio_end_ms=truncated.audio_end_ms,
            transcript=truncated.text,
        )

    # The agent's side, as far as ResponseEvents leaves it.

    def _output_started(self, output: told.OutputAudioStarted) -> None:
        self._output(OutputAudioBufferStarted, "started", output.response_id)

    def _output_stopped(self, output: told.OutputAudioStopped) -> None:
        self._output(OutputAudioBufferStopped, "stopped", output.response_id)

    def _output_cleared(self, output: told.OutputAudioCleared) -> None:
        self._output(OutputAudioBufferCleared, "cleared", output.response_id)

    def _output(self, model: type[BaseModel], what: str, response_id: str) -> None:
        if not self._with_audio:
            self._send(model, type=f"output_audio_buffer.{what}", response_id=response_id)

    def _turn_metrics(self, metrics: told.TurnMetrics) -> None:
        self._extend(
            MetricsEvent,
            type="goassist.metrics",
            turn=metrics.turn,
            response_id=metrics.response_id,
            endpointing_ms=metrics.endpointing_ms,
            transcript_ms=metrics.transcript_ms,
            ttft_ms=metrics.ttft_ms,
            tts_first_chunk_ms=metrics.tts_first_chunk_ms,
            ttfa_ms=metrics.ttfa_ms,
            voice_to_voice_ms=metrics.voice_to_voice_ms,
            speculative=metrics.speculative,
        )

    def _degraded(self, degraded: told.Degraded) -> None:
        self._extend(
            DegradedEvent,
            type="goassist.degraded",
            level=degraded.level,
            previous=degraded.previous,
            effect=degraded.effect,
        )

    def _failed(self, failed: told.Failed) -> None:
        if failed.response_id is not None:
            return  # response.done has told it, and some clients hang up at any `error`
        if failed.item_id is not None:
            self._transcription_failed(failed)
            return
        error = api.RealtimeError(
            type=failed.kind,
            code=failed.code,
            message=failed.message,
            param=failed.param,
            event_id=failed.client_event_id,
        )
        self._send(api.RealtimeErrorEvent, type="error", error=error)


def _untold(notification: told.Notification) -> None:
    """Of interest to metrics only."""
