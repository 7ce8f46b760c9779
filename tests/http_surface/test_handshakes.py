"""A WebSocket's handshake carries a client secret, and the secret a session."""

import asyncio
import json
import random
import string
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets
from websockets.typing import Subprotocol

from tests.http_surface.client import error_of, http
from tests.servers.orchestrator import RunningOrchestrator

TIMEOUT_S = 10
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


async def secret_of(running: RunningOrchestrator, **session: Any) -> str:
    async with http(running) as client:
        body = {"session": {"type": "realtime", **session}}
        return str((await client.post("/v1/realtime/client_secrets", json=body)).json()["value"])


def noise(chars: int) -> str:
    """A text that compression makes little of."""
    return "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=chars))


@pytest.mark.parametrize("by", ["Authorization", "subprotocol"])
async def test_a_client_secret_with_long_instructions_opens_a_websocket(ready: RunningOrchestrator, by: str) -> None:
    instructions = noise(24_000)
    secret = await secret_of(ready, instructions=instructions)
    assert len(secret) > 8192
    async with websockets.connect(
        ready.url.replace("http", "ws") + "/v1/realtime",
        subprotocols=[Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{secret}")]
        if by == "subprotocol"
        else None,
        additional_headers={"Authorization": f"Bearer {secret}"} if by == "Authorization" else None,
    ) as socket:
        assert json.loads(await socket.recv())["session"]["instructions"] == instructions


async def test_a_session_that_fits_into_no_client_secret_is_refused(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        tools = [{**TOOL, "description": noise(200_000)}]
        body = {"session": {"type": "realtime", "tools": tools}}
        assert error_of(await client.post("/v1/realtime/client_secrets", json=body), 400)["param"] == "session"


@pytest.mark.parametrize("extensions", ["on", "off"])
async def test_a_call_whose_client_secret_has_tools_begins_without_them_and_says_so(
    ready: RunningOrchestrator, extensions: str
) -> None:
    secret = await secret_of(ready, instructions="Be brief.", tools=[TOOL])
    async with websockets.connect(
        ready.url.replace("http", "ws") + f"/v1/realtime?goassist_events={extensions}",
        additional_headers={"Authorization": f"Bearer {secret}"},
    ) as socket:
        created = json.loads(await socket.recv())
        assert (created["session"]["instructions"], created["session"]["tools"]) == ("Be brief.", [])
        await socket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        types = []
        while "session.updated" not in types:
            event = json.loads(await socket.recv())
            types.append(event["type"])
            if event["type"] == "goassist.notice":
                assert event["param"] == "session.tools"
        assert ("goassist.notice" in types) == (extensions == "on")


async def test_a_handshake_that_cannot_be_read_is_refused_and_its_socket_closed(alone: RunningOrchestrator) -> None:
    address = urlsplit(alone.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        "\r\n".join(
            [
                "GET /v1/realtime HTTP/1.1",
                "Host: localhost",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version: 13",
                *(f"X-Header-{number}: a" for number in range(200)),
                "\r\n",
            ]
        ).encode()
    )
    async with asyncio.timeout(TIMEOUT_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 431 ")
    writer.close()
