"""An answer that the client knows of, and what it is told at its end."""

import asyncio
from dataclasses import dataclass

from orchestrator import notifications as told
from orchestrator.errors import GoAssistError
from orchestrator.response import Response


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """When the user's turn ended, in seconds of the session's clock: its last speech, the decision, its transcript.

    `audio_s`: how much sound the utterance covered.
    """

    last_speech: float
    decided: float
    transcribed: float
    audio_s: float


@dataclass(slots=True, eq=False)
class Answer:
    """A response that the client knows of; `end` is that of the turn which it answers, if it answers one."""

    response: Response
    response_id: str
    item_id: str
    end: TurnEnd | None
    task: asyncio.Task[None] | None = None
    complete: bool = False  # the client was told that it is
    playing: bool = False  # its first sample was sent
    heard_s: float = 0.0  # how much was played when it was cancelled
    cut_s: float | None = None  # how much was played by the client's own account
    truncated: told.ItemTruncated | None = None  # what the client is to be told once it knows that this is cancelled
    reason: told.CancelReason | None = None  # it is being cancelled
    error: GoAssistError | None = None

    @property
    def turn(self) -> int:
        """The response's number."""
        return self.response.turn

    @property
    def speechless(self) -> bool:
        """Whether it has said nothing so far: the client knows of no message yet."""
        return not self.response.text.strip()

    def finished(self, status: told.ResponseStatus) -> told.ResponseFinished:
        """What it came to."""
        response, error = self.response, self.error
        return told.ResponseFinished(
            self.response_id,
            self.item_id,
            status,
            response.text,
            response.input_tokens,
            response.output_tokens,
            "max_output_tokens" if status == "incomplete" else self.reason,
            error.code if error is not None else None,
            str(error) if error is not None else None,
        )

    def metrics(self, heard_at_s: float) -> told.TurnMetrics:
        """How long it took until its first sample was sent, at `heard_at_s` of the session's clock."""
        end, times = self.end, self.response.timings
        return told.TurnMetrics(
            turn=self.turn,
            response_id=self.response_id,
            endpointing_ms=_ms(end.last_speech, end.decided) if end else None,
            transcript_ms=_ms(end.decided, end.transcribed) if end else None,
            ttft_ms=_ms(times.started, times.first_text),
            tts_first_chunk_ms=_ms(times.first_phrase, times.first_audio),
            ttfa_ms=_ms(end.decided if end else times.started, heard_at_s),
            voice_to_voice_ms=_ms(end.last_speech, heard_at_s) if end else None,
            speculative=self.response.speculative,
        )


def _ms(start: float | None, stop: float | None) -> float | None:
    return round((stop - start) * 1000, 1) if start is not None and stop is not None else None
