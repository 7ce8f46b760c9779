"""Request bodies: bounded, and with errors that say what was expected."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.validation import check, parse_json

MAX_SDP_BYTES = 64 * 1024
MAX_JSON_BYTES = 256 * 1024
# Of a form: the offer, the session and what delimits them.
MAX_FORM_BYTES = MAX_SDP_BYTES + MAX_JSON_BYTES + 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """An SDP offer and the session object that came with it, if any."""

    sdp: str
    session: dict[str, Any] | None = None


async def read_offer(request: Request) -> Offer:
    """The offer of `POST /v1/realtime/calls`: `application/sdp`, or a form with `sdp` and `session`."""
    media_type = _media_type(request)
    if media_type == "application/sdp":
        return Offer(_sdp(await read_body(request, MAX_SDP_BYTES, "an SDP offer")))
    if media_type == "multipart/form-data":
        form = await _form(request)
        sdp, session = form.get("sdp"), form.get("session")
        if sdp is None:
            raise InvalidRequestError("the form has no part named 'sdp'", param="sdp")
        return Offer(
            _sdp(await _part(sdp, "sdp")),
            None if session is None else parse_json(await _part(session, "session"), "the part 'session'", "session"),
        )
    raise InvalidRequestError(
        f"Content-Type is {media_type or 'missing'}: send the SDP offer as application/sdp, "
        "or as multipart/form-data with the parts 'sdp' and 'session'"
    )


async def read_json(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """The JSON object of a request; {} for no body where it is `optional`."""
    body = await read_body(request, MAX_JSON_BYTES, "a JSON body")
    if optional and not body.strip():
        return {}
    media_type = _media_type(request)
    if media_type not in ("", "application/json"):
        raise InvalidRequestError(f"Content-Type is {media_type}: send application/json")
    return parse_json(body, "the body")


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The whole body; HTTP 413 as soon as it is larger than `limit` bytes."""
    length = request.headers.get("content-length", "")
    too_large = HTTPException(413, f"{what} may have {limit} bytes at most")
    if length.isdigit() and int(length) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def _form(request: Request) -> FormData:
    body = await read_body(request, MAX_FORM_BYTES, "the form")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        return await MultiPartParser(request.headers, stream(), max_files=2, max_fields=8).parse()
    except (MultiPartException, KeyError) as error:
        raise InvalidRequestError(f"the multipart form cannot be read: {error}") from error


async def _part(part: UploadFile | str, name: str) -> bytes:
    if not isinstance(part, str):
        return await part.read()
    check(part, name)  # the form may name a charset that has halves of surrogate pairs
    return part.encode()


def _sdp(body: bytes) -> str:
    if len(body) > MAX_SDP_BYTES:
        raise HTTPException(413, f"an SDP offer may have {MAX_SDP_BYTES} bytes at most")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"the SDP offer is not UTF-8 text: {error}", param="sdp") from error


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
