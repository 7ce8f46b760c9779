"""`GET /v1/realtime`: the same events over a WebSocket, with sound as base64 of INT16 at 24 kHz both ways."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect

from orchestrator.errors import GoAssistError, InvalidRequestError
from orchestrator.realtime import extensions
from orchestrator.realtime.call import Call
from orchestrator.realtime.refusals import answer_of
from orchestrator.realtime.services import Wired, authorized

router = APIRouter()

# A client that reads nothing while so many events wait for it is gone.
MAX_WAITING_EVENTS = 2000
CLOSE_TIMEOUT_S = 5.0
SUBPROTOCOL = "realtime"
NORMAL_CLOSURE = 1000  # RFC 6455, section 7.4.1


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket, wired: Wired) -> None:
    """Hold a call over this socket until either side ends it."""
    waiting: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_EVENTS)
    call: Call | None = None

    def send(text: str) -> None:
        try:
            waiting.put_nowait(text)
        except asyncio.QueueFull:
            if call is not None:
                call.close("The client does not read its events.")

    try:
        session = authorized(socket, wired)
        _refuse_unsupported(socket.query_params)
        extended = extensions.wanted(socket.query_params.get(extensions.PARAMETER, "on"))
        call = await wired.open_call("websocket", wired.config(session), send=send, extensions=extended)
    except (GoAssistError, HTTPException) as error:
        await socket.send_denial_response(answer_of(error))
        return
    try:
        await _hold(socket, call, waiting, wired)
    finally:
        # Whatever failed: a call that nobody is connected to would keep its place until the idle time-out.
        call.close("The connection failed.")


async def _hold(socket: WebSocket, call: Call, waiting: asyncio.Queue[str | None], wired: Wired) -> None:
    """Carry the call's events both ways until it has ended."""
    offered = {each.strip() for each in socket.headers.get("sec-websocket-protocol", "").split(",")}
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    call.open_events()
    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(_send(socket, waiting, call), name=f"send to {call.id}")
        receiver = tasks.create_task(_receive(socket, call), name=f"hear {call.id}")
        await wired.registry.ended(call.id)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await waiting.put(None)
                await asyncio.wait({sender})
        except TimeoutError:
            sender.cancel()
        receiver.cancel()


async def _send(socket: WebSocket, waiting: asyncio.Queue[str | None], call: Call) -> None:
    """Send what waits, and close the socket after the call's last event."""
    try:
        while (text := await waiting.get()) is not None:
            await socket.send_text(text)
        await socket.close(NORMAL_CLOSURE, call.close_reason)
    except (WebSocketDisconnect, RuntimeError):
        # RuntimeError is Starlette's word for a socket that has closed already.
        call.connection_lost("The client vanished.")


async def _receive(socket: WebSocket, call: Call) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        call.message_received(message.get("text") or message.get("bytes") or "")
        await call.caught_up()
    call.connection_lost("The client hung up.")


def _refuse_unsupported(query: Mapping[str, str]) -> None:
    """InvalidRequestError for what would otherwise be answered with a conversation that is not the one asked for."""
    if "call_id" in query:
        raise InvalidRequestError(
            "joining an existing call with 'call_id' is not supported: its events go to the client that began it",
            param="call_id",
        )
    if query.get("intent") == "transcription":
        raise InvalidRequestError("transcription sessions are not supported", param="intent")
