"""POST /v1/realtime/calls: an SDP offer for an answer, and the server's refusals as errors that say what to do."""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from aiortc import RTCIceServer

from goassist_client.errors import CallError, RefusedError, ServerBusyError, ServerUnreachableError

CALLS_PATH = "/v1/realtime/calls"
ICE_SERVERS_PATH = "/v1/realtime/ice_servers"


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """The server's SDP answer and where to hang up."""

    answer_sdp: str
    location: str | None


class Signalling:
    """The HTTP side of one call. Close it with `aclose`."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = 20.0) -> None:
        self.url = url.rstrip("/")
        host = urlsplit(self.url).hostname
        if urlsplit(self.url).scheme not in ("http", "https") or not host:
            raise RefusedError(f"{url!r} is not an address of a server; it looks like http://127.0.0.1:8081")
        self.on_this_machine = _is_loopback(host)
        # A proxy for the outside world has no way to this machine's own loopback.
        self._http = httpx.AsyncClient(
            timeout=timeout_s,
            trust_env=not self.on_this_machine,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
        )

    async def call(self, offer_sdp: str, session: dict[str, Any] | None = None) -> AnsweredCall:
        """Send the offer, as application/sdp, or as a form where `session` settings go with it.

        Raises ServerUnreachableError, ServerBusyError or RefusedError.
        """
        if session is None:
            body: dict[str, Any] = {"content": offer_sdp, "headers": {"Content-Type": "application/sdp"}}
        else:
            sdp = (None, offer_sdp.encode(), "application/sdp")
            settings = (None, json.dumps(session).encode(), "application/json")
            body = {"files": {"sdp": sdp, "session": settings}}
        response = await self._request("POST", CALLS_PATH, **body)
        if response.status_code != 201:
            raise _refusal(response)
        return AnsweredCall(response.text, response.headers.get("Location"))

    async def ice_servers(self) -> list[RTCIceServer]:
        """The STUN and TURN servers that the server names; none where it does not know the question."""
        response = await self._request("GET", ICE_SERVERS_PATH)
        if response.status_code == 404:
            return []
        if response.status_code != 200:
            raise _refusal(response)
        return [
            RTCIceServer(urls=server["urls"], username=server.get("username"), credential=server.get("credential"))
            for server in response.json()["ice_servers"]
        ]

    async def hang_up(self, location: str) -> None:
        """End the call at `location`. Raises CallError where the server cannot be told."""
        try:
            await self._http.post(urljoin(self.url, location) + "/hangup", timeout=2.0)
        except httpx.HTTPError as error:
            raise CallError(f"could not hang up at {self.url}: {error}") from error

    async def aclose(self) -> None:
        """Close the HTTP connections."""
        await self._http.aclose()

    async def _request(self, method: str, path: str, **body: Any) -> httpx.Response:
        try:
            return await self._http.request(method, self.url + path, **body)
        except httpx.ConnectError as error:
            raise ServerUnreachableError(
                f"no server answers at {self.url}. Start one with `make demo` (or `goassist up --profile embedded`), "
                "or give its address with --url"
            ) from error
        except httpx.TimeoutException as error:
            raise ServerUnreachableError(f"the server at {self.url} did not answer in time: overloaded?") from error
        except httpx.HTTPError as error:
            raise ServerUnreachableError(f"the connection to {self.url} broke: {error}") from error


def _refusal(response: httpx.Response) -> CallError:
    message = _error_message(response)
    if response.status_code == 503:
        retry_after = response.headers.get("Retry-After", "")
        retry_after_s = float(retry_after) if retry_after.isdigit() else 5.0
        return ServerBusyError(f"{message} Try again in {retry_after_s:.0f} s.", retry_after_s=retry_after_s)
    if response.status_code == 401:
        return RefusedError(f"{message} `goassist talk` takes it from GOASSIST_API_KEY or API_KEY.")
    if response.status_code in (404, 405):
        return RefusedError(f"{response.url} does not exist: is this the address of a GoAssist server?")
    return RefusedError(f"{message} (HTTP {response.status_code})")


def _error_message(response: httpx.Response) -> str:
    fallback = f"The server refused the call: {response.reason_phrase}."
    try:
        body = response.json()
    except ValueError:
        return fallback
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message:
        return fallback
    message = message[0].upper() + message[1:]
    return message if message[-1] in ".!?" else message + "."


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
