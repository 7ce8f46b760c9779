"""The speaking side of a session: the response that is heard, the one that is held, and what of it was heard."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator import notifications as told
from orchestrator.answer import Answer, TurnEnd
from orchestrator.config import SessionConfig
from orchestrator.core import events as core
from orchestrator.core.history import History, Item, Message
from orchestrator.errors import GoAssistError, InvalidRequestError
from orchestrator.models import Models
from orchestrator.response import AudioOutput, Response
from orchestrator.triton.tts import AudioChunk

# Gives the chat that a response answers, once there is room for it.
Messages = Callable[[], Awaitable[Sequence[Message]]]

# Answers that the client may still be playing: it may have asked for others meanwhile.
RECENT_ANSWERS = 8
# The client's buffer, its loudspeaker and the way back: so long after the last frame its echo may arrive.
ECHO_S = 0.6


class Speaker:
    """Carries out the conversation's commands about responses; reports what becomes of them to `deliver`."""

    def __init__(
        self,
        *,
        tag: str,
        history: History,
        models: Models,
        output: AudioOutput,
        tasks: asyncio.TaskGroup,
        notify: Callable[[told.Notification], None],
        deliver: Callable[[core.Event], None],
        clock: Callable[[], float],
    ) -> None:
        self._tag = tag
        self._history = history
        self._models = models
        self._output = output
        self._tasks = tasks
        self._notify = notify
        self._deliver = deliver
        self._clock = clock
        self._answer: Answer | None = None  # generated or played now
        self._latest: Answer | None = None  # begun last
        self._recent: dict[str, Answer] = {}  # by their items' ids, the latest last
        self._echo_until = 0.0  # when the room is silent again after an answer
        self._held: tuple[Response, asyncio.Task[None]] | None = None

    @property
    def response_id(self) -> str | None:
        """The id of the response that is generated or played now."""
        return self._answer.response_id if self._answer is not None else None

    @property
    def untold_item_id(self) -> str | None:
        """The id of the answer's message in the history, as long as the client knows of none."""
        answer = self._answer
        return answer.item_id if answer is not None and answer.speechless and not answer.complete else None

    def has_called(self, turn: int) -> bool:
        """Whether the latest answer is that one, and has made its calls."""
        answer = self._latest
        return answer is not None and answer.turn == turn and answer.complete and bool(answer.response.calls)

    @property
    def generating(self) -> bool:
        """Whether there is a response that is neither complete nor being cancelled."""
        answer = self._answer
        return answer is not None and not answer.complete and answer.reason is None

    @property
    def said(self) -> str:
        """What the latest answer says."""
        return self._latest.response.text if self._latest is not None else ""

    @property
    def busy(self) -> bool:
        """Whether a response is being generated or played."""
        return self._answer is not None

    def audible_16k(self) -> bytes:
        """What the listener was sent lately, INT16 mono at 16 kHz; nothing once its echo has died away."""
        playing = self._answer is not None and self._answer.playing
        return self._output.recent_16k() if playing or self._clock() < self._echo_until else b""

    def speculate(self, turn: int, messages: Messages, config: SessionConfig) -> None:
        """Prepare a response and hold it."""
        response = self._response(turn, messages, config, held=True)
        self._held = response, self._task(response, f"speculate on turn {turn}")

    def drop(self, turn: int) -> None:
        """Forget the held response."""
        if self._held is not None and self._held[0].turn == turn:
            response, task = self._held
            self._held = None
            task.cancel()
            self._notify(told.SpeculationDropped(turn, response.output_tokens, response.held_audio_s))

    def start(
        self,
        turn: int,
        messages: Messages,
        config: SessionConfig,
        end: TurnEnd | None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a response that is heard as soon as it has sound; `metadata` goes with it to the client."""
        response = self._response(turn, messages, config, held=False)
        self._announce(response, end, metadata).task = self._task(response, f"answer turn {turn}")

    def release(self, turn: int, end: TurnEnd | None) -> None:
        """Let the held response be heard."""
        assert self._held is not None
        response, task = self._held
        assert response.turn == turn
        self._held = None
        self._announce(response, end).task = task
        response.release()

    def pause(self, turn: int) -> None:
        """Fall silent, lose nothing."""
        self._output.pause()

    def resume(self, turn: int) -> None:
        """Go on after a pause."""
        self._output.resume()

    def cancel(self, turn: int, reason: told.CancelReason) -> None:
        """Silence the response at once and cancel its streams; ResponseCancelled follows."""
        answer = self._current(turn)
        answer.reason = reason
        answer.response.silence()
        answer.heard_s = self._output.played_s
        self._output.clear()
        if answer.playing:
            self._echo_until = self._clock() + ECHO_S
            self._notify(told.OutputAudioCleared(answer.response_id))
        elif answer.complete and answer.response.config.modality == "audio":
            self._keep_heard(answer)
        assert answer.task is not None
        if answer.task.done():
            self._cancelled(answer)
        else:
            answer.task.cancel()

    def truncate(self, turn: int) -> None:
        """Keep of the cancelled response what was heard."""
        answer = self._latest
        assert answer is not None
        assert answer.turn == turn
        self._keep_heard(answer)

    def keep_heard(self, item_id: str, heard_s: float) -> None:
        """Reduce a recent answer's item to the words of its first `heard_s` seconds; no other can be reduced.

        The client played them: what the server thinks was heard counts no more.
        """
        answer = self._recent.get(item_id)
        if answer is None or item_id not in self._history:
            raise InvalidRequestError(
                f"only one of the latest {RECENT_ANSWERS} answers can be truncated, {item_id!r} is none",
                param="item_id",
                code="item_truncate_invalid_item_id",
            )
        answer.cut_s = heard_s
        self._truncate(answer, heard_s)

    def finish_playing(self) -> None:
        """The client plays what it was sent by itself: nobody need wait until it has."""
        if self._answer is not None and self._answer.complete:
            turn = self._answer.turn
            self._output.leave()
            self.playback_finished(turn)

    def report(self, turn: int) -> None:
        """Tell that the response failed, and why; the client knows it by the response's end."""
        answer = self._answer
        if answer is not None and answer.turn == turn and answer.error is not None:
            error = answer.error
            self._notify(told.Failed(error.code, str(error), "server_error", response_id=answer.response_id))
            if not answer.playing:
                self._answer = None

    def playback_started(self, turn: int) -> None:
        """The output sent the first sample of the response."""
        answer = self._answer
        if answer is None or answer.turn != turn or answer.reason is not None:
            return
        answer.playing = True
        self._notify(told.OutputAudioStarted(answer.response_id))
        self._deliver(core.PlaybackStarted(turn))
        self._notify(answer.metrics(self._clock()))

    def playback_finished(self, turn: int) -> None:
        """The output sent the last sample of the response."""
        answer = self._answer
        if answer is None or answer.turn != turn or answer.reason is not None:
            return
        if answer.playing:
            self._echo_until = self._clock() + ECHO_S
            self._notify(told.OutputAudioStopped(answer.response_id))
        self._answer = None
        self._deliver(core.PlaybackFinished(turn))

    def _keep_heard(self, answer: Answer) -> None:
        if answer.cut_s is None and answer.item_id in self._history:
            self._truncate(answer, answer.heard_s)

    def _truncate(self, answer: Answer, heard_s: float) -> None:
        text = answer.response.heard.text(heard_s)
        self._set_text(answer, text)
        truncated = told.ItemTruncated(answer.item_id, round(heard_s * 1000), text)
        if answer.reason is not None and not answer.complete:
            answer.truncated = truncated  # the whole item is told with the answer's end, which comes first
        else:
            self._notify(truncated)

    def _keep_unheard(self, answer: Answer) -> None:
        """It breaks off, and no sound of it was heard: it is remembered only as far as it was to be read."""
        written = answer.response.config.modality == "text"
        self._set_text(answer, answer.response.text if written else "", complete=False)

    def _set_text(self, answer: Answer, text: str, *, complete: bool = True) -> None:
        """The client may have deleted the item."""
        if answer.item_id in self._history:
            if answer.cut_s is not None:
                text = answer.response.heard.text(answer.cut_s)
            self._history.set_text(answer.item_id, text, complete=complete)

    def _response(self, turn: int, messages: Messages, config: SessionConfig, *, held: bool) -> Response:
        return Response(
            turn,
            messages,
            models=self._models,
            config=config,
            output=self._output,
            on_text=self._text,
            on_audio=self._audio,
            clock=self._clock,
            held=held,
        )

    def _announce(self, response: Response, end: TurnEnd | None, metadata: Mapping[str, str] | None = None) -> Answer:
        turn = response.turn
        answer = Answer(response, f"resp_{self._tag}_{turn}", f"item_{self._tag}_{turn}a", end)
        self._answer = self._latest = self._recent[answer.item_id] = answer
        if len(self._recent) > RECENT_ANSWERS:
            del self._recent[next(iter(self._recent))]
        item = Item(answer.item_id, "assistant", "", response.config.modality, complete=False)
        self._history.add(item)
        previous = self._history.previous_id(item.id)
        self._notify(told.ResponseStarted(answer.response_id, item.id, previous, response.config, metadata))
        self._output.begin(turn)
        return answer

    def _current(self, turn: int) -> Answer:
        assert self._answer is not None
        assert self._answer.turn == turn
        return self._answer

    def _text(self, delta: str) -> None:
        if self._answer is not None:
            self._notify(told.ResponseText(self._answer.response_id, self._answer.item_id, delta))

    def _audio(self, chunk: AudioChunk) -> None:
        if self._answer is not None:
            ids = self._answer.response_id, self._answer.item_id
            self._notify(told.ResponseAudio(*ids, chunk.pcm16, chunk.sample_rate))

    def _task(self, response: Response, name: str) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._run(response), name=name)
        task.add_done_callback(lambda _: self._ended(response))
        return task

    async def _run(self, response: Response) -> None:
        """The task of one response, held or heard. What it comes to is told only if the client knows of it."""
        try:
            await response.run()
        except GoAssistError as error:
            self._failed(response, error)
        else:
            answer = self._answer_of(response)
            if answer is None or answer.reason is not None:
                return
            self._set_text(answer, response.text)
            self._finished(answer, "incomplete" if response.cut_short else "completed")
            self._deliver(core.ResponseCompleted(response.turn))
            if response.calls and response.timings.first_audio is None:
                self.finish_playing()  # the client is told of the calls: nobody is to interrupt them any more
            else:
                self._output.end()

    def _ended(self, response: Response) -> None:
        """However the task of a cancelled response ended; cancelled before its first step, it has never run."""
        answer = self._answer_of(response)
        if answer is not None and answer.reason is not None:
            if not answer.playing:
                self._keep_unheard(answer)
            self._finished(answer, "cancelled")
            if answer.truncated is not None and answer.item_id in self._history:
                self._notify(answer.truncated)
            self._cancelled(answer)

    def _failed(self, response: Response, error: GoAssistError) -> None:
        answer = self._answer_of(response)
        if answer is None:
            # One that was dropped may fail late, while another of the same turn is held or heard.
            if self._held is None or self._held[0] is not response:
                return
        elif answer.reason is not None:
            return
        else:
            answer.error = error
            self._finished(answer, "failed")
            if answer.playing:
                # What was synthesised is spoken to its end; then the turn is over.
                self._set_text(answer, response.heard.text(response.heard.duration_s))
                self._output.end()
            else:
                self._keep_unheard(answer)
                self._output.clear()
        self._deliver(core.ResponseFailed(response.turn))

    def _finished(self, answer: Answer, status: told.ResponseStatus) -> None:
        answer.complete = True
        if answer.response.calls and status in ("completed", "incomplete"):
            self._make_calls(answer)
        self._notify(answer.finished(status))

    def _make_calls(self, answer: Answer) -> None:
        """Those of an answer that broke off are not made: the model may be asked for it again."""
        if answer.speechless and answer.item_id in self._history:
            self._history.delete(answer.item_id)
        for number, call in enumerate(answer.response.calls, 1):
            name = f"{self._tag}_{answer.turn}f{number}"
            # Some servers count calls anew in each answer.
            call_id = f"call_{name}" if self._history.has_call(call.call_id) else call.call_id
            item = Item(f"item_{name}", "assistant", call.arguments, call_id=call_id, function=call.name)
            self._history.add(item)
            self._notify(told.FunctionCalled(answer.response_id, item, self._history.previous_id(item.id)))

    def _cancelled(self, answer: Answer) -> None:
        self._answer = None
        self._deliver(core.ResponseCancelled(answer.turn))

    def _answer_of(self, response: Response) -> Answer | None:
        return self._answer if self._answer is not None and self._answer.response is response else None
