"""A session with its wire, whose models cannot be reached, which most of a client's events need not know."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.config import SessionConfig
from orchestrator.models import Models
from orchestrator.openai_llm import OpenAiLlm
from orchestrator.realtime.dispatch import Dispatcher
from orchestrator.realtime.events import ServerEvents
from orchestrator.session import Session
from orchestrator.triton.asr import TritonAsr
from orchestrator.triton.client import TritonClient
from orchestrator.triton.llm import TritonLlm
from orchestrator.triton.prompt import ChatTemplate
from orchestrator.triton.tts import TritonTts
from orchestrator.vad import VoiceDetector
from orchestrator.webrtc.playout import Playout

NOWHERE = "127.0.0.1:1"


class Conversation:
    """A session with its wire, without a transport. `calls_functions`: with a language model that does."""

    def __init__(self, triton: TritonClient, *, with_audio: bool = False, calls_functions: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        config = SessionConfig()
        events = ServerEvents("sess_1", config, self._emit, with_audio=with_audio)
        playout = Playout(on_started=self._nothing, on_finished=self._nothing)
        llm = OpenAiLlm(f"http://{NOWHERE}/v1") if calls_functions else TritonLlm(triton, ChatTemplate())
        models = Models(TritonAsr(triton), llm, TritonTts(triton))
        self.session = Session(
            "sess_1", models=models, detector=VoiceDetector(), config=config, output=playout, notify=events.tell
        )
        self._dispatcher = Dispatcher(self.session, events, with_audio=with_audio)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send an event; returns what was answered at once."""
        before = len(self.sent)
        self._dispatcher.receive(json.dumps({"type": kind, "event_id": "mine", **fields}))
        return self.sent[before:]

    def refused(self, kind: str, **fields: Any) -> dict[str, Any]:
        (answer,) = self.send(kind, **fields)
        assert answer["type"] == "error"
        error: dict[str, Any] = answer["error"]
        assert error["event_id"] == "mine"
        assert error["type"] == "invalid_request_error"
        return error

    def _emit(self, text: str) -> None:
        self.sent.append(json.loads(text))
        self.news.set()

    def _nothing(self, turn: int) -> None:
        """No frame is ever taken."""


@asynccontextmanager
async def conversing(*, with_audio: bool = False, calls_functions: bool = False) -> AsyncIterator[Conversation]:
    """A conversation that runs."""
    triton = TritonClient(NOWHERE)
    conversation = Conversation(triton, with_audio=with_audio, calls_functions=calls_functions)
    running = asyncio.create_task(conversation.session.run())
    await asyncio.sleep(0)
    yield conversation
    conversation.session.close("The test is over.")
    await running
    await triton.close()


def message(text: str, role: str = "user", **fields: Any) -> dict[str, Any]:
    """An item, as a client sends it."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}
