"""Signalling as the Realtime API has it: `/v1/realtime/calls` and `/v1/realtime/client_secrets`."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request, Response

from orchestrator.errors import CapacityError, InvalidRequestError
from orchestrator.realtime import extensions
from orchestrator.realtime.bodies import read_json, read_offer
from orchestrator.realtime.config import session_to_wire
from orchestrator.realtime.ice import ice_servers_as_json
from orchestrator.realtime.services import KeySession, Wired, authorized_as_owner

router = APIRouter(prefix="/v1/realtime", tags=["realtime"])

DEFAULT_SECRET_S, LEAST_SECRET_S, MOST_SECRET_S = 600, 10, 7200

_OFFER = {
    "requestBody": {
        "required": True,
        "content": {
            "application/sdp": {"schema": {"type": "string", "description": "SDP offer, complete (no trickle)"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["sdp"],
                    "properties": {
                        "sdp": {"type": "string"},
                        "session": {"type": "string", "description": "session object, JSON"},
                    },
                }
            },
        },
    }
}


_Extensions = Annotated[
    str, Query(alias=extensions.PARAMETER, description="off: without the events whose types begin with `goassist.`")
]


@router.post(
    "/calls",
    status_code=201,
    response_class=Response,
    openapi_extra=_OFFER,
    responses={201: {"content": {"application/sdp": {}}, "description": "SDP answer; Location names the call"}},
)
async def create_call(
    request: Request, wired: Wired, key_session: KeySession, with_extensions: _Extensions = "on"
) -> Response:
    """Begin a call: an SDP offer for an SDP answer. Events run over the data channel `oai-events`."""
    extended = extensions.wanted(with_extensions)
    offer = await read_offer(request)
    config = wired.config(key_session, offer.session)
    call = await wired.open_call("webrtc", config, extensions=extended)
    try:
        answer = await call.answer(offer.sdp, plane=wired.plane())
    except BaseException as error:
        await wired.registry.end(call.id, "The offer was not answered.")
        if isinstance(error, CapacityError):  # a call opens sockets, and the process may open no more
            wired.shared.metrics.session_rejected("sockets")
        raise
    location = f"/v1/realtime/calls/{call.id}"
    return Response(answer, status_code=201, media_type="application/sdp", headers={"Location": location})


@router.post("/calls/{call_id}/hangup")
async def hang_up(call_id: str, wired: Wired, key_session: KeySession) -> dict[str, str]:
    """End a call."""
    call = wired.call(call_id)
    await wired.registry.end(call.id, "The client hung up.")
    return {"id": call.id, "status": "ended"}


@router.delete("/calls/{call_id}")
async def delete_call(call_id: str, wired: Wired, key_session: KeySession) -> dict[str, str]:
    """End a call."""
    return await hang_up(call_id, wired, key_session)


@router.post("/client_secrets", dependencies=[Depends(authorized_as_owner)])
async def create_client_secret(request: Request, wired: Wired) -> dict[str, Any]:
    """Make a short-lived key for a browser. `session` becomes the configuration of the calls that it opens."""
    body = await read_json(request, optional=True)
    lifetime_s = _lifetime_s(body.get("expires_after"))
    session = body.get("session")
    if session is not None and not isinstance(session, dict):
        raise InvalidRequestError("'session' must be an object", param="session")
    config = wired.config(session)  # refuses now what could not be served later
    value, expires_at = wired.keys.client_secret(session, lifetime_s=lifetime_s)
    # Clients' types want an id, though it is each call that makes a session.
    shown = session_to_wire(config, f"sess_{uuid4().hex[:24]}").model_dump(mode="json", exclude_unset=True)
    return {"value": value, "expires_at": expires_at, "session": shown}


@router.get("/ice_servers")
async def list_ice_servers(wired: Wired, key_session: KeySession) -> dict[str, Any]:
    """STUN and TURN servers for a browser's RTCPeerConnection; an extension of ours."""
    return {"ice_servers": ice_servers_as_json(wired.settings)}


def _lifetime_s(expires_after: Any) -> int:
    if expires_after is None:
        return DEFAULT_SECRET_S
    seconds = expires_after.get("seconds", DEFAULT_SECRET_S) if isinstance(expires_after, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not LEAST_SECRET_S <= seconds <= MOST_SECRET_S:
        raise InvalidRequestError(
            f"'expires_after.seconds' must be a whole number from {LEAST_SECRET_S} to {MOST_SECRET_S}",
            param="expires_after.seconds",
        )
    return seconds
