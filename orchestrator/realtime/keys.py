"""Who may call: the server's own key, and short-lived keys that are signed with it and carry a session."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import InvalidRequestError

PREFIX = "ek_"
# A key comes in a header, and h11 allows 64 KiB of headers together.
MAX_KEY_CHARS = 48 * 1024


class InvalidKeyError(Exception):
    """The key is not the server's, or has expired. The text says which."""


class Keys:
    """Checks keys, and makes short-lived ones. These need no memory: any process with the same `api_key` takes them.

    Without an `api_key` everybody is let in, with any key or none; processes with the same `secret` then take each
    other's short-lived keys.
    """

    def __init__(
        self, api_key: str | None, *, secret: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._api_key = api_key
        self._clock = clock
        self._signing = hashlib.sha256(
            b"goassist client secret " + (api_key or secret or secrets.token_hex()).encode()
        ).digest()

    def client_secret(self, session: Mapping[str, Any] | None, *, lifetime_s: int) -> tuple[str, int]:
        """A key that opens calls with the configuration `session`, and when it expires, in Unix time.

        InvalidRequestError where the session is too large to be carried by a key.
        """
        expires_at = int(self._clock()) + lifetime_s
        content = json.dumps({"exp": expires_at, "session": session}, separators=(",", ":"), ensure_ascii=False)
        payload = zlib.compress(content.encode())
        key = f"{PREFIX}{_encode(payload)}.{_encode(self._signature(payload))}"
        if len(key) > MAX_KEY_CHARS:
            raise InvalidRequestError(
                f"the client secret carries its session and would have {len(key)} characters, {MAX_KEY_CHARS} are "
                "allowed: shorten the instructions or the tools, or send them with session.update",
                param="session",
            )
        return key, expires_at

    def session_of(self, key: str | None) -> dict[str, Any] | None:
        """The session that comes with the key, None where it brings none. InvalidKeyError keeps the caller out."""
        if key is not None and key.startswith(PREFIX):
            try:
                return self._open(key)
            except InvalidKeyError:
                if self._api_key is not None:
                    raise
        elif self._api_key is not None:
            self._compare(key)
        return None

    def require_api_key(self, key: str | None) -> None:
        """InvalidKeyError for any key but the server's own: a short-lived one cannot make others."""
        if self._api_key is not None:
            self._compare(key)

    def _compare(self, key: str | None) -> None:
        assert self._api_key is not None
        if key is None:
            raise InvalidKeyError("a key is needed: send it as 'Authorization: Bearer KEY'")
        if not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise InvalidKeyError("the key is not this server's API_KEY")

    def _open(self, key: str) -> dict[str, Any] | None:
        body, _, signature = key.removeprefix(PREFIX).partition(".")
        try:
            payload, given = _decode(body), _decode(signature)
        except (binascii.Error, ValueError) as error:
            raise InvalidKeyError("the client secret is malformed") from error
        if not hmac.compare_digest(given, self._signature(payload)):
            raise InvalidKeyError("the client secret was not made by this server")
        try:
            content = json.loads(zlib.decompress(payload))
        except zlib.error as error:
            raise InvalidKeyError("the client secret was made by another version of this server") from error
        if content["exp"] <= self._clock():
            raise InvalidKeyError("the client secret has expired: ask for another")
        session: dict[str, Any] | None = content["session"]
        return session

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._signing, payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
