"""The session API: `/sessions`, for clients that hold a session apart from its connection, or only chat."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from orchestrator.realtime.bodies import MAX_SDP_BYTES, read_json
from orchestrator.realtime.call import Call
from orchestrator.realtime.items import MAX_TEXT_CHARS
from orchestrator.realtime.services import KeySession, Wired, authorized, authorized_as_owner
from orchestrator.realtime.validation import validated

router = APIRouter(prefix="/sessions", tags=["sessions"], dependencies=[Depends(authorized)])


class SessionRequest(BaseModel):
    """What a session begins with."""

    session_id: str | None = Field(None, pattern=r"^[\w.-]{1,64}$")
    system_prompt: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    session: dict[str, Any] | None = Field(None, description="a session object of the Realtime API")


class SessionCreated(BaseModel):
    """A session that waits for its offer or its first message."""

    session_id: str
    state: str
    message: str
    created_at: str


class SessionStatus(BaseModel):
    """A session as it is now."""

    session_id: str
    state: str
    is_running: bool
    transport: str
    turns_completed: int
    avg_ttfa_ms: float
    created_at: str


class SessionList(BaseModel):
    """All sessions."""

    active_count: int
    available_slots: int
    sessions: list[SessionStatus]


class OfferRequest(BaseModel):
    """An SDP offer."""

    sdp: str


class OfferAnswer(BaseModel):
    """Its answer."""

    type: str = "answer"
    sdp: str
    session_id: str


class CandidateRequest(BaseModel):
    """An ICE candidate, as RTCIceCandidate.toJSON gives it; "" says that there are no more."""

    candidate: str = Field(max_length=1024)
    sdpMid: str | None = None
    sdpMLineIndex: int | None = None


class ChatRequest(BaseModel):
    """What the user says in writing."""

    message: str = Field(min_length=1, max_length=MAX_TEXT_CHARS)


class ChatAnswer(BaseModel):
    """What the agent says to it."""

    response: str
    session_id: str


@router.post("", response_model=SessionCreated)
async def create_session(request: Request, wired: Wired, key_session: KeySession) -> SessionCreated:
    """Begin a session without a connection: send an offer or chat next."""
    wanted = validated(SessionRequest, await read_json(request, optional=True))
    prompt = {"type": "realtime", "instructions": wanted.system_prompt} if wanted.system_prompt else None
    call = await wired.open_call("http", wired.config(key_session, wanted.session, prompt), call_id=wanted.session_id)
    return SessionCreated(
        session_id=call.id,
        state=call.session.state.value,
        message="The session exists.",
        created_at=call.created_at.isoformat(),
    )


@router.get("", response_model=SessionList, dependencies=[Depends(authorized_as_owner)])
async def list_sessions(wired: Wired) -> SessionList:
    """All sessions of this process, however they were begun; not for who has but a client secret."""
    sessions = [_status(call) for call in wired.registry]
    return SessionList(active_count=len(sessions), available_slots=wired.registry.free, sessions=sessions)


@router.get("/{session_id}", response_model=SessionStatus)
async def get_session(session_id: str, wired: Wired) -> SessionStatus:
    """One session."""
    return _status(wired.call(session_id))


@router.delete("/{session_id}")
async def delete_session(session_id: str, wired: Wired) -> dict[str, str]:
    """End a session."""
    call = wired.call(session_id)
    await wired.registry.end(call.id, "The client ended the session.")
    return {"message": f"Session {call.id} ended"}


@router.post("/{session_id}/offer", response_model=OfferAnswer)
async def offer(session_id: str, request: Request, wired: Wired) -> OfferAnswer:
    """Connect the session: an SDP offer for an SDP answer. A further offer of the same client changes the call."""
    call = wired.call(session_id)
    wanted = validated(OfferRequest, await read_json(request))
    if len(wanted.sdp.encode()) > MAX_SDP_BYTES:
        raise HTTPException(413, f"an SDP offer may have {MAX_SDP_BYTES} bytes at most")
    answer = await call.answer(wanted.sdp, plane=wired.plane())
    return OfferAnswer(sdp=answer, session_id=call.id)


@router.post("/{session_id}/ice-candidate")
async def ice_candidate(session_id: str, request: Request, wired: Wired) -> dict[str, str]:
    """Add a candidate that the client found after its offer."""
    call = wired.call(session_id)
    wanted = validated(CandidateRequest, await read_json(request))
    if wanted.candidate:
        await call.add_candidate(wanted.candidate, wanted.sdpMid or str(wanted.sdpMLineIndex or 0))
    return {"status": "ok"}


@router.post("/{session_id}/chat", response_model=ChatAnswer)
async def chat(session_id: str, request: Request, wired: Wired) -> ChatAnswer:
    """Say something in writing and read the answer; in a connected session it is spoken too."""
    call = wired.call(session_id)
    wanted = validated(ChatRequest, await read_json(request))
    return ChatAnswer(response=await call.chat(wanted.message), session_id=call.id)


def _status(call: Call) -> SessionStatus:
    return SessionStatus(
        session_id=call.id,
        state=call.session.state.value,
        is_running=call.close_reason is None,
        transport=call.transport,
        turns_completed=call.turns,
        avg_ttfa_ms=round(call.ttfa_ms, 1),
        created_at=call.created_at.isoformat(),
    )
