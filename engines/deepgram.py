"""Speech recognition by Deepgram, a cloud service: sound leaves the machine. One of its streams per utterance.

Protocol: https://developers.deepgram.com/reference/speech-to-text/listen-streaming. Sound goes out as binary messages;
`Results` come in, each either an interim one or the final one for its stretch; `Finalize` asks for the final one now,
`CloseStream` ends.
"""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from engines.audio import SAMPLE_RATE
from engines.errors import EngineError, EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.parameters import Parameters
from engines.transcriber import Ask, Hypothesis, Piece, Word

LOGGER = logging.getLogger(__name__)
URL = "wss://api.deepgram.com/v1/listen"
CONNECT_TIMEOUT_S = 5.0
# Deepgram does not answer Finalize where it has no sound left to finalize.
FINALIZE_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 5.0
# After ten seconds without sound it would close the stream.
KEEP_ALIVE_S = 4.0


class Utterance:
    """One stream; everything but `waiting.put_nowait` happens in the engine's loop."""

    def __init__(self, query: Sequence[tuple[str, str]]) -> None:
        self.query = query
        self.waiting: asyncio.Queue[Piece[Utterance] | None] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.finalized = asyncio.Event()
        self._final: list[str] = []
        self._interim = ""
        self._words: list[Word] = []

    def understand(self, message: Mapping[str, Any]) -> None:
        """Take a message of Deepgram's."""
        if message.get("type") == "Error":
            raise EngineUnavailableError(f"Deepgram failed: {message.get('description') or message.get('message')}")
        if message.get("type") != "Results":
            return
        best = message["channel"]["alternatives"][0]
        self._interim = "" if message["is_final"] else best["transcript"]
        if message["is_final"] and best["transcript"]:
            self._final.append(best["transcript"])
            self._words += [
                Word(each.get("punctuated_word", each["word"]), each["start"], each["end"], each["confidence"])
                for each in best["words"]
            ]
        if message.get("from_finalize"):
            self.finalized.set()

    def hypothesis(self, ask: Ask) -> Hypothesis:
        """What is understood by now."""
        settled = " ".join(self._final)
        text = " ".join(filter(None, (settled, self._interim)))
        if ask is Ask.PARTIAL:
            return Hypothesis(text, len(settled), is_final=False)
        return Hypothesis(
            text, len(text) if ask is Ask.FINAL else len(settled), is_final=True, words=tuple(self._words)
        )


class Deepgram:
    """Streams utterances to Deepgram."""

    def __init__(
        self, key: str, *, url: str = URL, model: str = "nova-3", language: str = "en", hotwords: str = ""
    ) -> None:
        self._key = key
        self._url = url
        self._model = model
        self._language = language
        self._hotwords = hotwords
        self._closing = False
        self._utterances: set[Utterance] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deepgram", daemon=True)
        self._thread.start()

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "Deepgram":
        """Make the engine from model parameters.

        `key` (by default the environment variable DEEPGRAM_API_KEY), `model` (nova-3), `language` (en), `hotwords`,
        `url` (of a server of one's own).
        """
        read = Parameters("asr", parameters)
        key = read.text("key", "") or os.environ.get("DEEPGRAM_API_KEY", "")
        if not key:
            raise ModelSetupError(
                "the asr engine 'deepgram' needs a key of Deepgram's: set the environment variable DEEPGRAM_API_KEY "
                "where Triton is started, or the parameter 'key' of the asr model"
            )
        return cls(
            key,
            url=read.text("url", URL),
            model=read.text("model", "nova-3"),
            language=read.text("language", "en"),
            hotwords=read.text("hotwords", ""),
        )

    def open(self, *, language: str | None, hotwords: str | None) -> Utterance:
        """A new utterance. Deepgram knows its languages itself: it refuses an unknown one when the stream begins."""
        query = [
            ("model", self._model),
            ("language", language or self._language),
            ("encoding", "linear16"),
            ("sample_rate", str(SAMPLE_RATE)),
            ("channels", "1"),
            ("interim_results", "true"),
            ("smart_format", "true"),
        ]
        boosted = "keyterm" if self._model.startswith("nova-3") else "keywords"
        expected = ",".join(filter(None, (self._hotwords, hotwords)))
        query += [(boosted, word.strip()) for word in expected.split(",") if word.strip()]
        return Utterance(query)

    def transcribe(self, pieces: Sequence[Piece[Utterance]]) -> None:
        """Send the pieces on."""
        for piece in pieces:
            if self._closing:
                piece.answer(EngineUnavailableError("the asr model is being unloaded"), 0.0)
            else:
                self._loop.call_soon_threadsafe(self._queue, piece.utterance, piece)

    def forget(self, utterance: Utterance) -> None:
        """End the stream once what waits is answered."""
        self._loop.call_soon_threadsafe(self._queue, utterance, None)

    def close(self) -> None:
        """Answer what waits with EngineUnavailableError and end the streams."""
        self._closing = True
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result(CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)

    async def _end_all(self) -> None:
        tasks = [utterance.task for utterance in self._utterances if utterance.task]
        for task in tasks:
            task.cancel()
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0)), *tasks], timeout=CLOSE_TIMEOUT_S / 2)

    def _queue(self, utterance: Utterance, piece: Piece[Utterance] | None) -> None:
        utterance.waiting.put_nowait(piece)
        if utterance.task is None:
            utterance.task = self._loop.create_task(self._serve(utterance), name="deepgram stream")
            self._utterances.add(utterance)
            utterance.task.add_done_callback(lambda _: self._utterances.discard(utterance))

    async def _serve(self, utterance: Utterance) -> None:
        """Answer the pieces of one utterance; after a failure each of them with the reason."""
        failure: EngineError | None = None
        taken: list[Piece[Utterance]] = []
        try:
            async with connect(
                f"{self._url}?{urlencode(utterance.query)}",
                additional_headers={"Authorization": f"Token {self._key}"},
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=1.0,
            ) as stream:
                reader = asyncio.create_task(_read(stream, utterance))
                try:
                    while (piece := await _next(utterance, stream)) is not None:
                        taken.append(piece)
                        await _send(stream, utterance, piece, reader)
                        hypothesis = utterance.hypothesis(piece.ask)
                        taken.pop().answer(hypothesis, 0.0)
                        if piece.ask is Ask.FINAL:
                            return
                    return
                finally:
                    reader.cancel()
        except InvalidStatus as error:
            failure = _refused(error)
        except EngineError as error:
            failure = error
        except (OSError, InvalidHandshake, ConnectionClosed) as error:  # OSError includes TimeoutError
            failure = EngineUnavailableError(f"Deepgram cannot be reached: {error or type(error).__name__}")
        except asyncio.CancelledError:
            failure = EngineUnavailableError("the asr model is being unloaded")
        except Exception as error:  # a wrong url, a proxy that needs a package, a message of an unknown kind
            LOGGER.error("the stream to Deepgram broke", exc_info=error)
            failure = EngineUnavailableError(f"Deepgram failed: {type(error).__name__}: {error}")
        LOGGER.warning("%s", failure)
        for piece in taken:
            piece.answer(failure, 0.0)
        await _answer_all(utterance, failure, closing=self._closing)


async def _answer_all(utterance: Utterance, failure: EngineError, *, closing: bool) -> None:
    """Answer what waits and, unless the engine is being closed, what will still come."""
    while not (closing and utterance.waiting.empty()):
        if (piece := await utterance.waiting.get()) is None:
            return
        piece.answer(failure, 0.0)
        if piece.ask is Ask.FINAL:
            return


async def _next(utterance: Utterance, stream: ClientConnection) -> Piece[Utterance] | None:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                return await utterance.waiting.get()
        except TimeoutError:
            await stream.send(json.dumps({"type": "KeepAlive"}))


async def _send(
    stream: ClientConnection, utterance: Utterance, piece: Piece[Utterance], reader: "asyncio.Task[None]"
) -> None:
    """Send a piece; return when the answer to it is known."""
    _check(reader)
    if piece.pcm16_16k:  # an empty message would end the stream
        await stream.send(piece.pcm16_16k)
    if piece.ask is Ask.FLUSH:
        utterance.finalized.clear()
        await stream.send(json.dumps({"type": "Finalize"}))
        finalized = asyncio.create_task(utterance.finalized.wait())
        await asyncio.wait({finalized, reader}, timeout=FINALIZE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finalized.cancel()
        _check(reader)
    elif piece.ask is Ask.FINAL:
        await stream.send(json.dumps({"type": "CloseStream"}))
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await reader


def _check(reader: "asyncio.Task[None]") -> None:
    if reader.done():
        reader.result()  # raises why
        raise EngineUnavailableError("Deepgram ended the stream early")


async def _read(stream: ClientConnection, utterance: Utterance) -> None:
    async for message in stream:
        utterance.understand(json.loads(message))


def _refused(error: InvalidStatus) -> EngineError:
    status = error.response.status_code
    said = error.response.headers.get("dg-error") or (error.response.body or b"").decode(errors="replace")[:200]
    if status == 400:
        return InvalidInputError(f"Deepgram refused the utterance: {said}")
    if status in (401, 403):
        return EngineUnavailableError(f"Deepgram refused the key (status {status}): check DEEPGRAM_API_KEY. {said}")
    return EngineUnavailableError(f"Deepgram refused the stream: status {status}. {said}")
