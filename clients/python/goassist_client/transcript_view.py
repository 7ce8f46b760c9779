"""A call in a terminal: finished lines stay, the line that is being spoken is redrawn in place."""

import shutil
from typing import Any, TextIO

from goassist_client.events import ServerEvent
from goassist_client.turn import Turn, failure_of

INDENT = " " * 10


class TranscriptView:
    """Prints events as they arrive; on anything but a terminal only what is final."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._live = ""
        self._answer = ""

    def show(self, event: ServerEvent) -> None:
        """Print what a person wants to see of an event."""
        if event.type == "goassist.state":
            self.line(f"{event['previous']} → {event['state']}", event.at_s)
        elif event.type == "goassist.transcript":
            self._redraw(f"{INDENT}you    {event['text']}")
        elif event.type == "conversation.item.input_audio_transcription.completed":
            self._erase()
            self.line(f"you    {event['transcript'].strip() or '(no words understood)'}", event.at_s)
        elif event.type in ("response.output_audio_transcript.delta", "response.output_text.delta"):
            self._answer += event["delta"]
            self._redraw(f"{INDENT}agent  {self._answer.strip()}")
        elif event.type == "response.done":
            self._response_done(event["response"], event.at_s)
        elif event.type in ("error", "conversation.item.input_audio_transcription.failed"):
            self.line(f"error  {event['error'].get('message')}", event.at_s)
        elif event.type == "goassist.degraded":
            self.line(f"server {event.get('level')}: {event.get('effect')}", event.at_s)

    def line(self, text: str, at_s: float | None = None) -> None:
        """Print one finished line, with its time where it has one, above the live line."""
        live = self._live
        self._erase()
        self._out.write((INDENT if at_s is None else f"{at_s:7.2f} s ") + text + "\n")
        self._redraw(live)

    def summary(self, turn: Turn) -> None:
        """Print the latencies of a turn."""
        parts = []
        if turn.voice_to_voice_ms is not None:
            parts.append(f"voice to voice {turn.voice_to_voice_ms:.0f} ms, measured here")
        server = [f"{name} {value:.0f}" for name, value in turn.server_ms.items() if value is not None and name != "at"]
        if server:
            parts.append("at the server, ms: " + ", ".join(server))
        if turn.audible_s:
            parts.append(f"{turn.audible_s:.1f} s of sound at {turn.level_dbfs:.0f} dBFS")
        for part in parts:
            self.line("       " + part)
        if turn.status != "completed":
            self.line(f"       no answer ({turn.status}): {turn.error}")

    def close(self) -> None:
        """Leave the cursor on a line of its own."""
        self._erase()
        self._out.flush()

    def _response_done(self, response: dict[str, Any], at_s: float) -> None:
        if self._answer:
            self._erase()
            cut = " [interrupted]" if response["status"] == "cancelled" else ""
            self.line(f"agent  {self._answer.strip()}{cut}", at_s)
            self._answer = ""
        if response["status"] == "failed":
            self.line(f"error  {failure_of(response)}", at_s)

    def _redraw(self, text: str) -> None:
        self._live = text
        if self._terminal and text:
            width = shutil.get_terminal_size().columns - 1
            shown = text if len(text) <= width else text[:17] + "…" + text[-(width - 18) :]
            self._out.write("\r\x1b[K" + shown)
        self._out.flush()

    def _erase(self) -> None:
        if self._terminal and self._live:
            self._out.write("\r\x1b[K")
        self._live = ""
