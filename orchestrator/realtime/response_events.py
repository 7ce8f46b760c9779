"""The events of one response after another, from `response.created` to `response.done`."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from openai.types import realtime as api
from openai.types.realtime import realtime_response as response
from openai.types.realtime import realtime_response_status as outcome
from openai.types.realtime import response_content_part_added_event, response_content_part_done_event
from pydantic import BaseModel

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item
from orchestrator.realtime.config import DEFAULT_VOICE, PCM_24K
from orchestrator.realtime.gathering import GatheredText
from orchestrator.realtime.items import item_to_wire
from orchestrator.webrtc.resample import Resampler

EVENT_SAMPLE_RATE = 24_000


class Send(Protocol):
    """Completes and sends an event of that model."""

    def __call__(self, model: type[BaseModel], **fields: Any) -> None: ...


@dataclass(slots=True)
class _Answer:
    """The response that the client is told of now."""

    started: told.ResponseStarted
    text: GatheredText
    resampler: Resampler | None = None

    @property
    def ids(self) -> dict[str, Any]:
        """What every event about its only content part carries."""
        return {
            "response_id": self.started.response_id,
            "item_id": self.started.item_id,
            "output_index": 0,
            "content_index": 0,
        }


class ResponseEvents:
    """What the API says of responses. There is one at a time, with one item of one content part."""

    def __init__(
        self, send: Send, conversation_id: str, config: Callable[[], SessionConfig], *, with_audio: bool
    ) -> None:
        self._send = send
        self._conversation_id = conversation_id
        self._config = config
        self._with_audio = with_audio
        self._answer: _Answer | None = None

    def started(self, started: told.ResponseStarted) -> None:
        """The agent begins a response: it, its item and the item's content are announced."""
        self._answer = answer = _Answer(started, GatheredText(lambda text: self._text_delta(answer, text)))
        item = item_to_wire(Item(started.item_id, "assistant", "", started.modality), status="in_progress", empty=True)
        spoken = started.modality == "audio"
        self._send(api.ResponseCreatedEvent, type="response.created", response=self._response(answer, "in_progress"))
        # Nothing is rationed here: an empty list, for clients that wait for the event.
        self._send(api.RateLimitsUpdatedEvent, type="rate_limits.updated", rate_limits=[])
        self._send(
            api.ResponseOutputItemAddedEvent,
            type="response.output_item.added",
            response_id=started.response_id,
            output_index=0,
            item=item,
        )
        self._send(
            api.ConversationItemAdded,
            type="conversation.item.added",
            previous_item_id=started.previous_item_id,
            item=item,
        )
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        self._send(
            api.ResponseContentPartAddedEvent,
            type="response.content_part.added",
            part=response_content_part_added_event.Part.model_validate(part),
            **answer.ids,
        )

    def text(self, text: told.ResponseText) -> None:
        """More words."""
        self._answer_of(text.response_id).text.push(text.delta)

    def _text_delta(self, answer: _Answer, delta: str) -> None:
        if answer.started.modality == "audio":
            model: type[BaseModel] = api.ResponseAudioTranscriptDeltaEvent
            kind = "response.output_audio_transcript.delta"
        else:
            model, kind = api.ResponseTextDeltaEvent, "response.output_text.delta"
        self._send(model, type=kind, delta=delta, **answer.ids)

    def audio(self, audio: told.ResponseAudio) -> None:
        """More sound, where the transport sends it as events."""
        if not self._with_audio:
            return
        answer = self._answer_of(audio.response_id)
        pcm16 = audio.pcm16
        if audio.sample_rate != EVENT_SAMPLE_RATE:
            if answer.resampler is None:
                answer.resampler = Resampler(audio.sample_rate, EVENT_SAMPLE_RATE)
            pcm16 = answer.resampler.push(pcm16)
        self._audio_delta(answer, pcm16)

    def _audio_delta(self, answer: _Answer, pcm16: bytes) -> None:
        if pcm16:
            delta = base64.b64encode(pcm16).decode()
            self._send(api.ResponseAudioDeltaEvent, type="response.output_audio.delta", delta=delta, **answer.ids)

    def finished(self, finished: told.ResponseFinished) -> None:
        """The response is complete, cancelled or has failed: all that is open is closed."""
        answer = self._answer_of(finished.response_id)
        self._answer = None
        answer.text.flush()
        modality = answer.started.modality
        if modality == "audio":
            if answer.resampler is not None:
                self._audio_delta(answer, answer.resampler.flush())
            self._send(api.ResponseAudioDoneEvent, type="response.output_audio.done", **answer.ids)
            self._send(
                api.ResponseAudioTranscriptDoneEvent,
                type="response.output_audio_transcript.done",
                transcript=finished.text,
                **answer.ids,
            )
            part = {"type": "audio", "transcript": finished.text}
        else:
            self._send(api.ResponseTextDoneEvent, type="response.output_text.done", text=finished.text, **answer.ids)
            part = {"type": "text", "text": finished.text}
        self._send(
            api.ResponseContentPartDoneEvent,
            type="response.content_part.done",
            part=response_content_part_done_event.Part.model_validate(part),
            **answer.ids,
        )
        complete = finished.status == "completed"
        item = item_to_wire(Item(finished.item_id, "assistant", finished.text, modality, complete))
        self._send(
            api.ResponseOutputItemDoneEvent,
            type="response.output_item.done",
            response_id=finished.response_id,
            output_index=0,
            item=item,
        )
        self._send(
            api.ConversationItemDone,
            type="conversation.item.done",
            previous_item_id=answer.started.previous_item_id,
            item=item,
        )
        details = _status_details(finished)
        usage = _usage(finished)
        done = self._response(answer, finished.status, output=[item], status_details=details, usage=usage)
        self._send(api.ResponseDoneEvent, type="response.done", response=done)

    def _response(self, answer: _Answer, status: str, **fields: Any) -> api.RealtimeResponse:
        config = self._config()
        voice = response.AudioOutput(format=PCM_24K, voice=config.voice or DEFAULT_VOICE)
        state = {"output": [], "status_details": None, "usage": None} | fields
        return api.RealtimeResponse.model_validate(
            {
                "object": "realtime.response",
                "id": answer.started.response_id,
                "status": status,
                "conversation_id": self._conversation_id,
                "output_modalities": [answer.started.modality],
                "max_output_tokens": config.max_output_tokens or "inf",
                "audio": response.Audio(output=voice),
                "metadata": answer.started.metadata,
                **state,
            }
        )

    def _answer_of(self, response_id: str) -> _Answer:
        answer = self._answer
        assert answer is not None
        assert answer.started.response_id == response_id
        return answer


def _status_details(finished: told.ResponseFinished) -> outcome.RealtimeResponseStatus | None:
    if finished.status in ("cancelled", "incomplete"):
        return outcome.RealtimeResponseStatus(type=finished.status, reason=finished.reason)
    if finished.status == "failed":
        error = outcome.Error.model_validate(
            {"type": "server_error", "code": finished.error_code, "message": finished.error_message}
        )
        return outcome.RealtimeResponseStatus(type="failed", error=error)
    return None


def _usage(finished: told.ResponseFinished) -> api.RealtimeResponseUsage:
    """The language model's tokens: sound is not counted in tokens here."""
    tokens_in, tokens_out = finished.input_tokens, finished.output_tokens
    return api.RealtimeResponseUsage.model_validate(
        {
            "total_tokens": tokens_in + tokens_out,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "input_token_details": {"text_tokens": tokens_in, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": tokens_out, "audio_tokens": 0},
        }
    )
