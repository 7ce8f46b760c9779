"""The events of one response after another, from `response.created` to `response.done`."""

import base64
from dataclasses import dataclass, field
from typing import Any, Protocol

from openai.types import realtime as api
from openai.types.realtime import ConversationItem, response_content_part_added_event, response_content_part_done_event
from openai.types.realtime import realtime_response as response
from openai.types.realtime import realtime_response_status as outcome
from pydantic import BaseModel

from orchestrator import notifications as told
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
    blank: str = ""  # what is written before the first word
    calls: list[told.FunctionCalled] = field(default_factory=list)
    announced: bool = False  # the client knows of its message
    resampler: Resampler | None = None

    @property
    def message_ids(self) -> dict[str, Any]:
        """What every event about the message's only content part carries."""
        return {
            "response_id": self.started.response_id,
            "item_id": self.started.item_id,
            "output_index": 0,
            "content_index": 0,
        }


class ResponseEvents:
    """What the API says of responses. There is one at a time: a message of one content part, then its function calls.

    The message is announced once there is something of it: a response that only calls has none. Calls are told at the
    end, after the message is complete, as the API has it. Most clients run a function when they are told of its call,
    and ask for the next response when it returns, which is refused as long as this one is made.
    """

    def __init__(self, send: Send, conversation_id: str, *, with_audio: bool) -> None:
        self._send = send
        self._conversation_id = conversation_id
        self._with_audio = with_audio
        self._answer: _Answer | None = None

    def started(self, started: told.ResponseStarted) -> None:
        """The agent begins a response."""
        self._answer = answer = _Answer(started, GatheredText(lambda text: self._text_delta(answer, text)))
        self._send(api.ResponseCreatedEvent, type="response.created", response=self._response(answer, "in_progress"))
        # Nothing is rationed here: an empty list, for clients that wait for the event.
        self._send(api.RateLimitsUpdatedEvent, type="rate_limits.updated", rate_limits=[])

    def text(self, text: told.ResponseText) -> None:
        """More words."""
        answer = self._answer_of(text.response_id)
        answer.blank += text.delta
        if answer.announced or answer.blank.strip():
            self._announce(answer)

    def audio(self, audio: told.ResponseAudio) -> None:
        """More sound, where the transport sends it as events."""
        if not self._with_audio:
            return
        answer = self._answer_of(audio.response_id)
        self._announce(answer)
        pcm16 = audio.pcm16
        if audio.sample_rate != EVENT_SAMPLE_RATE:
            if answer.resampler is None:
                answer.resampler = Resampler(audio.sample_rate, EVENT_SAMPLE_RATE)
            pcm16 = answer.resampler.push(pcm16)
        self._audio_delta(answer, pcm16)

    def called(self, called: told.FunctionCalled) -> None:
        """A call, to be told once the response is over."""
        self._answer_of(called.response_id).calls.append(called)

    def finished(self, finished: told.ResponseFinished) -> None:
        """The response is complete, cancelled or has failed: all that is open is closed."""
        answer = self._answer_of(finished.response_id)
        self._answer = None
        output: list[ConversationItem] = []
        if answer.announced or finished.text.strip() or not answer.calls:
            self._announce(answer)
            output.append(self._message_done(answer, finished))
        for called in answer.calls:
            output.append(self._call(called, len(output)))
        details = _status_details(finished)
        usage = _usage(finished)
        done = self._response(answer, finished.status, output=output, status_details=details, usage=usage)
        self._send(api.ResponseDoneEvent, type="response.done", response=done)

    def _announce(self, answer: _Answer) -> None:
        """The message, unless the client knows of it, and what there is of its text."""
        if not answer.announced:
            answer.announced = True
            started = answer.started
            modality = started.config.modality
            item = item_to_wire(Item(started.item_id, "assistant", "", modality), status="in_progress", empty=True)
            self._item_added(started.response_id, started.previous_item_id, item, 0)
            part = {"type": "audio", "transcript": ""} if modality == "audio" else {"type": "text", "text": ""}
            self._send(
                api.ResponseContentPartAddedEvent,
                type="response.content_part.added",
                part=response_content_part_added_event.Part.model_validate(part),
                **answer.message_ids,
            )
        text, answer.blank = answer.blank, ""
        if text:
            answer.text.push(text)

    def _text_delta(self, answer: _Answer, delta: str) -> None:
        if answer.started.config.modality == "audio":
            model: type[BaseModel] = api.ResponseAudioTranscriptDeltaEvent
            kind = "response.output_audio_transcript.delta"
        else:
            model, kind = api.ResponseTextDeltaEvent, "response.output_text.delta"
        self._send(model, type=kind, delta=delta, **answer.message_ids)

    def _audio_delta(self, answer: _Answer, pcm16: bytes) -> None:
        if pcm16:
            delta = base64.b64encode(pcm16).decode()
            self._send(
                api.ResponseAudioDeltaEvent, type="response.output_audio.delta", delta=delta, **answer.message_ids
            )

    def _message_done(self, answer: _Answer, finished: told.ResponseFinished) -> ConversationItem:
        answer.text.flush()
        modality, ids = answer.started.config.modality, answer.message_ids
        if modality == "audio":
            if answer.resampler is not None:
                self._audio_delta(answer, answer.resampler.flush())
            self._send(api.ResponseAudioDoneEvent, type="response.output_audio.done", **ids)
            self._send(
                api.ResponseAudioTranscriptDoneEvent,
                type="response.output_audio_transcript.done",
                transcript=finished.text,
                **ids,
            )
            part = {"type": "audio", "transcript": finished.text}
        else:
            self._send(api.ResponseTextDoneEvent, type="response.output_text.done", text=finished.text, **ids)
            part = {"type": "text", "text": finished.text}
        self._send(
            api.ResponseContentPartDoneEvent,
            type="response.content_part.done",
            part=response_content_part_done_event.Part.model_validate(part),
            **ids,
        )
        complete = finished.status == "completed"
        item = item_to_wire(Item(finished.item_id, "assistant", finished.text, modality, complete))
        self._item_done(finished.response_id, answer.started.previous_item_id, item, 0)
        return item

    def _call(self, called: told.FunctionCalled, output_index: int) -> ConversationItem:
        """All that is said of one call; returns it as it is shown."""
        response_id, call, previous_item_id = called.response_id, called.item, called.previous_item_id
        begun = item_to_wire(call, status="in_progress", empty=True)
        self._item_added(response_id, previous_item_id, begun, output_index)
        ids = {
            "response_id": response_id,
            "item_id": call.id,
            "call_id": call.call_id,
            "output_index": output_index,
        }
        self._send(
            api.ResponseFunctionCallArgumentsDeltaEvent,
            type="response.function_call_arguments.delta",
            delta=call.text,
            **ids,
        )
        self._send(
            api.ResponseFunctionCallArgumentsDoneEvent,
            type="response.function_call_arguments.done",
            name=call.function,
            arguments=call.text,
            **ids,
        )
        item = item_to_wire(call)
        self._item_done(response_id, previous_item_id, item, output_index)
        return item

    def _item_added(
        self, response_id: str, previous_item_id: str | None, item: ConversationItem, output_index: int
    ) -> None:
        self._send(
            api.ResponseOutputItemAddedEvent,
            type="response.output_item.added",
            response_id=response_id,
            output_index=output_index,
            item=item,
        )
        self._send(
            api.ConversationItemAdded, type="conversation.item.added", previous_item_id=previous_item_id, item=item
        )

    def _item_done(
        self, response_id: str, previous_item_id: str | None, item: ConversationItem, output_index: int
    ) -> None:
        self._send(
            api.ResponseOutputItemDoneEvent,
            type="response.output_item.done",
            response_id=response_id,
            output_index=output_index,
            item=item,
        )
        self._send(
            api.ConversationItemDone, type="conversation.item.done", previous_item_id=previous_item_id, item=item
        )

    def _response(self, answer: _Answer, status: str, **fields: Any) -> api.RealtimeResponse:
        config = answer.started.config
        voice = response.AudioOutput(format=PCM_24K, voice=config.voice or DEFAULT_VOICE)
        state = {"output": [], "status_details": None, "usage": None} | fields
        return api.RealtimeResponse.model_validate(
            {
                "object": "realtime.response",
                "id": answer.started.response_id,
                "status": status,
                "conversation_id": self._conversation_id,
                "output_modalities": [config.modality],
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
