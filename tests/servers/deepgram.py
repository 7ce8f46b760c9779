"""A small real server that speaks Deepgram's streaming protocol, with faults to switch on.

It "recognises" a word for every half second of sound: `zero one two …`; after four of them the stretch is final.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

KEY = "a key of the tests"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORD_BYTES = 16_000
WORDS_IN_STRETCH = 4
LANGUAGES = ("en", "de", "multi")

Fault = Literal["none", "drop", "mute", "error", "strange"]


@dataclass(slots=True)
class DeepgramServer:
    """Where it is, what it was asked, and how it misbehaves."""

    url: str = ""
    fault: Fault = "none"
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # released by a stream's end


@contextmanager
def run_deepgram_server() -> Iterator[DeepgramServer]:
    """A server on a free loopback port, in a thread of its own."""
    state = DeepgramServer()

    def check(connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        state.queries.append(query)
        if request.headers.get("Authorization") != f"Token {KEY}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "Invalid credentials.")
        if query["language"][0] not in LANGUAGES or (query["encoding"], query["sample_rate"]) != (
            ["linear16"],
            ["16000"],
        ):
            refusal = connection.respond(HTTPStatus.BAD_REQUEST, "Bad Request")
            refusal.headers["dg-error"] = f"No such model/language combination found: {query['language'][0]}."
            return refusal
        return None

    def stream(connection: ServerConnection) -> None:
        try:
            _Stream(state, connection).run()
        except ConnectionClosed:
            pass
        finally:
            state.closed.release()

    with serve(stream, "127.0.0.1", 0, process_request=check) as server:
        state.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/listen"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(timeout=5)


class _Stream:
    def __init__(self, state: DeepgramServer, connection: ServerConnection) -> None:
        self._state = state
        self._connection = connection
        self._received = 0
        self._final_words = 0

    def run(self) -> None:
        for message in self._connection:
            if isinstance(message, bytes):
                assert message, "an empty message ends Deepgram's stream"
                self._received += len(message)
                if self._state.fault == "drop":
                    self._connection.close(1011, "NET-0000")
                elif self._state.fault == "error":
                    self._send({"type": "Error", "description": "told to fail", "variant": "UNKNOWN"})
                elif self._state.fault == "strange":
                    self._send({"type": "Results", "channels": []})
                else:
                    self._results()
                continue
            control = json.loads(message)["type"]
            self._state.controls.append(control)
            if control == "Finalize" and self._state.fault != "mute":
                self._result(self._spoken, is_final=True, from_finalize=True)
            elif control == "CloseStream":
                self._result(self._spoken, is_final=True)
                self._send({"type": "Metadata", "duration": self._received / 32_000, "channels": 1})
                return

    @property
    def _spoken(self) -> int:
        return self._received // WORD_BYTES

    def _results(self) -> None:
        while self._spoken - self._final_words >= WORDS_IN_STRETCH:
            self._result(self._final_words + WORDS_IN_STRETCH, is_final=True)
        if self._spoken > self._final_words:
            self._result(self._spoken, is_final=False)

    def _result(self, until: int, *, is_final: bool, from_finalize: bool = False) -> None:
        numbers = range(self._final_words, until)
        words = [
            {
                "word": WORDS[number % 10],
                "punctuated_word": WORDS[number % 10].capitalize(),
                "start": number / 2,
                "end": number / 2 + 0.4,
                "confidence": 0.9,
            }
            for number in numbers
        ]
        best = {"transcript": " ".join(word["punctuated_word"] for word in words), "confidence": 0.9, "words": words}
        self._send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": self._final_words / 2,
                "duration": len(words) / 2,
                "is_final": is_final,
                "speech_final": False,
                "from_finalize": from_finalize,
                "channel": {"alternatives": [best]},
            }
        )
        if is_final:
            self._final_words = until

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.send(json.dumps(message))
