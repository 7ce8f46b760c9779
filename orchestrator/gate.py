"""What every request passes: a check of where a browser's page comes from, a line in the log, a count."""

import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from orchestrator.realtime.refusals import error_answer
from orchestrator.telemetry.metrics import Metrics

LOGGER = logging.getLogger("orchestrator.http")
# Asked every few seconds; only their failures are news.
QUIET = frozenset({"/livez", "/readyz", "/health", "/healthz", "/metrics"})
UNMATCHED = "unmatched"


class Gate:
    """ASGI middleware. A page of another site, other than `allowed_origins`, may look but not call."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, allowed_origins: Sequence[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._allowed = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse with 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            if self._foreign(scope):
                await self._refuse(scope, receive, note)
            else:
                await self._app(scope, receive, note)
        finally:
            self._log(scope, status, time.monotonic() - began)

    def _foreign(self, scope: Scope) -> bool:
        """Whether a page of another site wants more than to read. Browsers send Origin; a page cannot fake it."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or (scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS")):
            return False
        return origin not in self._allowed and urlsplit(origin).netloc != headers.get("host")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = error_answer(
            403,
            "forbidden",
            "pages of another site may not call: their origin is not in ALLOWED_ORIGINS, nor the host asked for "
            "(which a proxy has to pass on)",
        )
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(answer)
        else:
            await answer(scope, receive, send)

    def _log(self, scope: Scope, status: int, took_s: float) -> None:
        path = scope["path"]
        method = scope.get("method", "WEBSOCKET")
        # FastAPI leaves the matched route in the scope: its pattern, so that ids make no series.
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.request(method, route, status)
        level = logging.DEBUG if path in QUIET and status < 500 else logging.INFO
        LOGGER.log(
            level,
            "request",
            extra={"method": method, "path": path, "status": status, "ms": round(took_s * 1000, 1)},
        )
