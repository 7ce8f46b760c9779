"""A small real HTTP server that speaks OpenAI's chat completions, with faults to switch on."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

Fault = Literal[
    "none",
    "unauthorized",
    "bad request",
    "overloaded",
    "cut",
    "error event",
    "garbage",
    "stall",
    "no model",
    "no tools",
]
NO_TOOLS = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'  # vLLM's words


@dataclass(slots=True)
class OpenAiServer:
    """What the server saw and how it misbehaves. `aborted` is set when a client goes away in mid-answer.

    `calls` are pieces of tool calls, which it streams behind the words, each in a delta of its own.
    """

    url: str
    words: list[str] = field(default_factory=lambda: ["It", " is", " five", "."])
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"
    interval_s: float = 0.0
    fault: Fault = "none"
    requests: list[dict[str, Any]] = field(default_factory=list)
    aborted: threading.Event = field(default_factory=threading.Event)


@contextmanager
def run_openai_server() -> Iterator[OpenAiServer]:
    """A server on a free loopback port, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        state = OpenAiServer(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        server = uvicorn.Server(uvicorn.Config(_app(state), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield state
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _app(state: OpenAiServer) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        served = [] if state.fault == "no model" else [{"id": "small-model", "object": "model", "created": 0}]
        return {"object": "list", "data": served}

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        state.requests.append(await request.json())
        refusal = {"unauthorized": 401, "bad request": 400, "overloaded": 503}.get(state.fault)
        if refusal:
            return JSONResponse({"error": {"message": f"told to be {state.fault}"}}, refusal)
        if state.fault == "no tools" and "tools" in state.requests[-1]:
            error = {"message": NO_TOOLS, "type": "BadRequestError", "param": None, "code": 400}
            return JSONResponse({"error": error}, 400)
        return StreamingResponse(_answer(state), media_type="text/event-stream")

    return app


async def _answer(state: OpenAiServer) -> AsyncGenerator[str, None]:
    complete = False
    try:
        if state.fault == "stall":
            await asyncio.sleep(30)
        yield _chunk({"role": "assistant", "content": ""})
        for number, word in enumerate(state.words):
            if number == 2 and state.fault == "cut":
                complete = True
                raise ConnectionResetError("told to cut the answer")
            if number == 2 and state.fault == "error event":
                yield f"data: {json.dumps({'error': {'message': 'out of memory'}})}\n\n"
            if number == 2 and state.fault == "garbage":
                yield "data: <html>\n\n"
            yield _chunk({"content": word})
            await asyncio.sleep(state.interval_s)
        for piece in state.calls:
            yield _chunk({"tool_calls": [piece]})
        yield _chunk({}, finish_reason=state.finish_reason)
        usage = {"prompt_tokens": 11, "completion_tokens": len(state.words), "total_tokens": 11 + len(state.words)}
        yield f"data: {json.dumps(_body([]) | {'usage': usage})}\n\n"
        complete = True
        yield "data: [DONE]\n\n"
    finally:
        if not complete:
            state.aborted.set()


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    return f"data: {json.dumps(_body([{'index': 0, 'delta': delta, 'finish_reason': finish_reason}]))}\n\n"


def _body(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "small-model", "choices": choices}
