"""Several workers behind one port: who owns a session, and what is asked of all.

A connection reaches any worker. Its number is in the ids that it gives, so that a request for a session of another
worker's is handed to that one, over a loopback port of its own; what concerns all is gathered from all.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4
from zlib import crc32

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator import gathered
from orchestrator.places import Places
from orchestrator.realtime.refusals import error_answer
from orchestrator.telemetry.exposition import counters
from orchestrator.telemetry.kept import Kept

HOST = "127.0.0.1"
# An answer in writing takes a minute at most; what is asked of all must not wait for one that hangs.
FORWARD_TIMEOUT_S, GATHER_TIMEOUT_S = 75.0, 2.0
# A call may wait for calm, and an offer for STUN: who has not answered for so long is asked whether it lives, and has
# so long to say it.
PATIENCE_S, SIGN_OF_LIFE_S = 2.0, 2.0
# As many at once as there are requests. A connection is given up before its server does (uvicorn: 5 s), so that none is
# used that is about to be closed.
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=2.0)
# Requests that begin a call: any worker can serve them.
BEGINNINGS = ("/v1/realtime/calls", "/sessions")
# More than any request may have: the owner says how much exactly.
MAX_BODY_BYTES = 16 * 1024 * 1024
_OF_A_SESSION = re.compile(r"/(?:v1/realtime/calls|sessions)/([^/]+)(?:/.*)?")
_OWNER = re.compile(r"(?:rtc|sess)_w(\d{1,4})_\w+")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"})


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several: its number, the loopback ports of all, and the descriptors of the memory that they share.

    `secret` signs the keys of all. The memory is that of places.py and telemetry/kept.py.
    """

    number: int
    ports: tuple[int, ...]
    secret: str
    places_descriptor: int
    kept_descriptor: int

    def new_id(self, prefix: str) -> str:
        """An id that names its owner."""
        return f"{prefix}_w{self.number}_{uuid4().hex[:24]}"

    def places(self) -> Places:
        """The places of all workers, as this one sees them."""
        return Places(self.places_descriptor, workers=len(self.ports), own=self.number)

    def kept(self) -> Kept:
        """The metrics that all workers showed last."""
        return Kept(self.kept_descriptor, own=self.number)

    def chosen_by(self, session_id: str) -> int:
        """Where a session is begun whose id its client chose: always there, so that no two have the same.

        An id that looks like one of ours is sought at the worker that it names, so it is begun there.
        """
        named = self._named_by(session_id)
        return crc32(session_id.encode()) % len(self.ports) if named is None else named

    def owners(self, session_id: str) -> Sequence[int]:
        """Who else may have the session: one that its id names, or any for an id that a client chose."""
        named = self._named_by(session_id)
        candidates = range(len(self.ports)) if named is None else [named]
        return [number for number in candidates if number != self.number]

    def _named_by(self, session_id: str) -> int | None:
        """The worker whose number is in the id; None where there is no such number, or no such worker."""
        named = _OWNER.fullmatch(session_id)
        return int(named[1]) if named and int(named[1]) < len(self.ports) else None


class Siblings:
    """ASGI middleware of a worker. `has` tells whether a session is this worker's, `busy` whether it takes no calls."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        worker: Worker,
        places: Places,
        kept: Kept,
        has: Callable[[str], bool],
        busy: Callable[[], bool],
    ) -> None:
        self._app = app
        self._worker = worker
        self._places = places
        self._kept = kept
        self._has = has
        self._busy = busy
        self._coming: Counter[int] = Counter()  # calls that are on their way to a worker
        self._made: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, hand on, or gather. What a sibling asks is answered here."""
        answer: Response | None = None
        if scope["type"] == "http" and not self._from_sibling(scope):
            found = _OF_A_SESSION.fullmatch(scope["path"])
            gather = {
                "/metrics": self._metrics,
                "/readyz": gathered.readiness,
                "/health": gathered.health,
                "/healthz": gathered.health,
                "/sessions": gathered.sessions,
            }
            if scope["method"] == "POST" and scope["path"] in BEGINNINGS:
                return await self._begin(scope, receive, send)
            if scope["method"] == "GET" and scope["path"] in gather:
                answer = gather[scope["path"]](await self._ask_all(Request(scope)))
            elif found and not self._has(found[1]) and (owners := self._worker.owners(found[1])):
                answer = await self._handed_on(Request(scope, receive), owners)
        await (answer or self._app)(scope, receive, send)

    def _from_sibling(self, scope: Scope) -> bool:
        server = scope.get("server")
        return server is not None and server[1] == self._worker.ports[self._worker.number]

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin a call where there is most room: with as many calls on each worker, each core has as much to do."""
        request = Request(scope, receive)
        body = await _body_of(request)
        if body is None:
            return await _too_large()(scope, receive, send)
        answer: Response | None = None
        if (chosen := _chosen_id(scope["path"], body)) is None:
            answer = await self._begun_by_the_freest(request, body)
        elif (owner := self._worker.chosen_by(chosen)) != self._worker.number:
            answer = await self._begun_by(owner, request, body) or _restarting("the worker of this session id")
        if answer is not None:
            return await answer(scope, receive, send)
        with self._on_its_way(self._worker.number):
            await self._app(scope, _again(body, receive), send)

    async def _begun_by_the_freest(self, request: Request, body: bytes) -> Response | None:
        """The answer of the sibling that has most room; None where the call is to be begun here."""
        silent: set[int] = set()
        while True:
            worker = self._places.freest(busy=self._busy(), coming=self._coming, silent=silent)
            if worker == self._worker.number:
                return None
            answer = await self._begun_by(worker, request, body)
            if answer is not None:
                return answer if answer.status_code != 503 else None
            silent.add(worker)

    async def _begun_by(self, worker: int, request: Request, body: bytes) -> Response | None:
        with self._on_its_way(worker):
            found = await self._ask_one(worker, request, body)
        return None if found is None else _relayed(found)

    @contextmanager
    def _on_its_way(self, worker: int) -> Generator[None, None, None]:
        self._coming[worker] += 1
        try:
            yield
        finally:
            self._coming[worker] -= 1

    async def _handed_on(self, request: Request, owners: Sequence[int]) -> Response | None:
        """The first answer that knows the session, or the last that does not; None is to be answered here."""
        body = await _body_of(request)
        if body is None:
            return _too_large()
        answer: Response | None = None
        for number in owners:
            found = await self._ask_one(number, request, body)
            if found is None:
                answer = _restarting("the worker of this call")
                continue
            answer = _relayed(found)
            if found.status_code != 404:
                break
        return answer

    async def _ask_one(self, number: int, request: Request, body: bytes) -> httpx.Response | None:
        """A sibling's answer, however long it takes; None of one that is down, dies or hangs.

        To connect tells nothing: the parent holds the listening sockets, so that they outlive their workers.
        """
        if not self._places.serves(number):
            return None
        asked = asyncio.create_task(self._ask(number, request, body, timeout_s=FORWARD_TIMEOUT_S))
        try:
            while not (await asyncio.wait({asked}, timeout=PATIENCE_S))[0]:
                if not await self._lives(number):
                    return None
            return asked.result()
        except httpx.TransportError:
            return None
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def _lives(self, number: int) -> bool:
        if not self._places.serves(number):
            return False
        try:
            await self._client.get(f"{self._url(number)}/livez", timeout=SIGN_OF_LIFE_S)
        except httpx.TransportError:
            return False
        return True

    async def _ask_all(self, request: Request) -> list[httpx.Response | None]:
        """Every worker's answer, this one's included; None of one that does not answer."""

        async def ask(number: int) -> httpx.Response | None:
            if number != self._worker.number and not self._places.serves(number):
                return None
            try:
                return await self._ask(number, request, b"", timeout_s=GATHER_TIMEOUT_S)
            except httpx.TransportError:
                return None

        return await asyncio.gather(*[ask(number) for number in range(len(self._worker.ports))])

    async def _ask(self, number: int, request: Request, body: bytes, *, timeout_s: float) -> httpx.Response:
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP_BY_HOP]
        # Identity: what comes back compressed would be unpacked here and no longer be what its headers say.
        headers = [(name, value) for name, value in headers if name != b"accept-encoding"]
        headers.append((b"accept-encoding", b"identity"))
        # As it came: what is encoded in a path may be no part of a URL once it is decoded, or another part.
        target, query = request.scope["raw_path"], request.scope["query_string"]
        return await self._client.request(
            request.method,
            self._url(number),
            headers=headers,
            content=body,
            timeout=timeout_s,
            extensions={"target": target + b"?" + query if query else target},
        )

    @property
    def _client(self) -> httpx.AsyncClient:
        if self._made is None:  # in the event loop that uses it
            self._made = httpx.AsyncClient(trust_env=False, limits=CONNECTIONS)
        return self._made

    def _url(self, number: int) -> str:
        return f"http://{HOST}:{self._worker.ports[number]}"

    def _metrics(self, answers: gathered.Answers) -> Response:
        return gathered.metrics(
            [
                each.text if each is not None and each.status_code == 200 else self._last_page(number)
                for number, each in enumerate(answers)
            ]
        )

    def _last_page(self, number: int) -> str:
        """What a worker showed last. One that is down holds no call and no memory, but what it counted has been."""
        page = self._kept.last(number)
        return page if self._places.serves(number) else counters(page)


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


def _restarting(who: str) -> Response:
    return error_answer(503, "backend_unavailable", f"{who} is restarting", headers={"Retry-After": "2"})
