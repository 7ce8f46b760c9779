"""Several workers behind one port: who owns a session, and what is asked of all.

A connection reaches any worker. Its number is in the ids that it gives, so that a request for a session of another
worker's is handed to that one, over a loopback port of its own; what concerns all is gathered from all.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from zlib import crc32

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.places import Places
from orchestrator.realtime.refusals import error_answer
from orchestrator.telemetry.exposition import summed
from orchestrator.telemetry.metrics import CONTENT_TYPE

HOST = "127.0.0.1"
# An answer in writing takes a minute at most; what is asked of all must not wait for one that hangs.
FORWARD_TIMEOUT_S, GATHER_TIMEOUT_S = 75.0, 2.0
# Requests that begin a call: any worker can serve them.
BEGINNINGS = ("/v1/realtime/calls", "/sessions")
# More than any request may have: the owner says how much exactly.
MAX_BODY_BYTES = 16 * 1024 * 1024
_OF_A_SESSION = re.compile(r"/(?:v1/realtime/calls|sessions)/([^/]+)(?:/.*)?")
_OWNER = re.compile(r"(?:rtc|sess)_w(\d+)_\w+")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"})


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several: its number, the loopback ports of all, and the descriptor of their places (places.py).

    `secret` signs the keys of all.
    """

    number: int
    ports: tuple[int, ...]
    secret: str
    places_descriptor: int

    def new_id(self, prefix: str) -> str:
        """An id that names its owner."""
        return f"{prefix}_w{self.number}_{uuid4().hex[:24]}"

    def places(self) -> Places:
        """The places of all workers, as this one sees them."""
        return Places(self.places_descriptor, workers=len(self.ports), own=self.number)

    def chosen_by(self, session_id: str) -> int:
        """Where a session is begun whose id its client chose: always there, so that no two have the same."""
        return crc32(session_id.encode()) % len(self.ports)

    def owners(self, session_id: str) -> Sequence[int]:
        """Who else may have the session: one that its id names, or any for an id that a client chose."""
        named = _OWNER.fullmatch(session_id)
        if named and int(named[1]) < len(self.ports) and int(named[1]) != self.number:
            return [int(named[1])]
        return [] if named else [number for number in range(len(self.ports)) if number != self.number]


class Siblings:
    """ASGI middleware of a worker. `has` tells whether a session is this worker's, `busy` whether it takes no calls."""

    def __init__(
        self, app: ASGIApp, *, worker: Worker, places: Places, has: Callable[[str], bool], busy: Callable[[], bool]
    ) -> None:
        self._app = app
        self._worker = worker
        self._places = places
        self._has = has
        self._busy = busy
        self._coming: Counter[int] = Counter()  # calls that are on their way to a worker
        self._client: httpx.AsyncClient | None = None  # made in the event loop that uses it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, hand on, or gather. What a sibling asks is answered here."""
        answer: Response | None = None
        if scope["type"] == "http" and not self._from_sibling(scope):
            found = _OF_A_SESSION.fullmatch(scope["path"])
            gather = {"/metrics": self._metrics, "/readyz": self._readiness, "/sessions": self._sessions}
            if scope["method"] == "POST" and scope["path"] in BEGINNINGS:
                return await self._begin(scope, receive, send)
            if scope["method"] == "GET" and scope["path"] in gather:
                answer = await gather[scope["path"]](await self._ask_all(Request(scope)))
            elif found and not self._has(found[1]) and (owners := self._worker.owners(found[1])):
                answer = await self._handed_on(Request(scope, receive), owners)
        await (answer or self._app)(scope, receive, send)

    def _from_sibling(self, scope: Scope) -> bool:
        server = scope.get("server")
        return server is not None and server[1] == self._worker.ports[self._worker.number]

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin a call where there is most room: with as many calls on each worker, each core has as much to do."""
        body = await _body_of(Request(scope, receive))
        if body is None:
            return await _too_large()(scope, receive, send)
        own, chosen = self._worker.number, _chosen_id(scope["path"], body)
        if chosen is not None:
            worker = self._worker.chosen_by(chosen)
        else:
            worker = self._places.freest(busy=self._busy(), coming=self._coming)
        self._coming[worker] += 1
        try:
            if worker != own:
                answer = await self._begun_by(worker, Request(scope), body)
                if answer is not None and (answer.status_code != 503 or chosen is not None):
                    return await answer(scope, receive, send)
            await self._app(scope, _again(body, receive), send)
        finally:
            self._coming[worker] -= 1

    async def _begun_by(self, worker: int, request: Request, body: bytes) -> Response | None:
        """A sibling's answer; None of one that has just died."""
        try:
            return _relayed(await self._ask(worker, request, body, timeout_s=FORWARD_TIMEOUT_S))
        except httpx.TransportError:
            return None

    async def _handed_on(self, request: Request, owners: Sequence[int]) -> Response | None:
        """The first answer that knows the session, or the last that does not; None is to be answered here."""
        body = await _body_of(request)
        if body is None:
            return _too_large()
        answer: Response | None = None
        for number in owners:
            try:
                found = await self._ask(number, request, body, timeout_s=FORWARD_TIMEOUT_S)
            except httpx.TransportError:
                retry = {"Retry-After": "2"}
                answer = error_answer(
                    503, "backend_unavailable", "the worker of this call is restarting", headers=retry
                )
                continue
            answer = _relayed(found)
            if found.status_code != 404:
                break
        return answer

    async def _ask(self, number: int, request: Request, body: bytes, *, timeout_s: float) -> httpx.Response:
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False)
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP_BY_HOP]
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"http://{HOST}:{self._worker.ports[number]}{request.scope['path']}{query}"
        # Identity: what comes back compressed would be unpacked here and no longer be what its headers say.
        headers = [(name, value) for name, value in headers if name != b"accept-encoding"]
        headers.append((b"accept-encoding", b"identity"))
        return await self._client.request(request.method, url, headers=headers, content=body, timeout=timeout_s)

    async def _ask_all(self, request: Request) -> list[httpx.Response | None]:
        """Every worker's answer, this one's included; None of one that does not answer."""

        async def ask(number: int) -> httpx.Response | None:
            try:
                return await self._ask(number, request, b"", timeout_s=GATHER_TIMEOUT_S)
            except httpx.TransportError:
                return None

        return await asyncio.gather(*[ask(number) for number in range(len(self._worker.ports))])

    async def _metrics(self, answers: Sequence[httpx.Response | None]) -> Response:
        return Response(summed([each.text for each in answers if each is not None]), media_type=CONTENT_TYPE)

    async def _readiness(self, answers: Sequence[httpx.Response | None]) -> Response:
        for number, each in enumerate(answers):
            if each is None:
                return _json(503, {"status": "not_ready", "reason": f"worker {number} is starting", "components": {}})
            if each.status_code != 200:
                return _json(each.status_code, each.json())
        return _json(200, {**_body(answers[0]), "workers": len(answers)})

    async def _sessions(self, answers: Sequence[httpx.Response | None]) -> Response:
        there = [each for each in answers if each is not None]
        for each in there:
            if each.status_code != 200:
                return _json(each.status_code, each.json())
        bodies = [_body(each) for each in there]
        total: dict[str, Any] = {
            "active_count": sum(body["active_count"] for body in bodies),
            "available_slots": min(body["available_slots"] for body in bodies),  # of all workers, as each sees it
        }
        return _json(200, total | {"sessions": [session for body in bodies for session in body["sessions"]]})


async def _body_of(request: Request) -> bytes | None:
    """The whole body; None of one that is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read by another; then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _chosen_id(path: str, body: bytes) -> str | None:
    """The session id that a client wants, if it does; what is malformed is refused by whoever reads it."""
    if path != "/sessions" or b"session_id" not in body:
        return None
    try:
        wanted = json.loads(body)
    except ValueError:
        return None
    chosen = wanted.get("session_id") if isinstance(wanted, dict) else None
    return chosen if isinstance(chosen, str) else None


def _relayed(found: httpx.Response) -> Response:
    answer = Response(found.content, found.status_code)
    answer.raw_headers = [
        (name.lower(), value)
        for name, value in found.headers.raw
        if name.decode().lower() not in _HOP_BY_HOP - {"content-length"}
    ]
    return answer


def _too_large() -> Response:
    return error_answer(413, "request_too_large", "the request is too large")


def _body(answer: httpx.Response | None) -> dict[str, Any]:
    assert answer is not None
    body: dict[str, Any] = answer.json()
    return body


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
