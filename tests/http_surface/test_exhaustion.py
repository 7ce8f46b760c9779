"""The running application when its process may open no further file."""

from tests.http_surface.client import error_of, http
from tests.servers.orchestrator import RunningOrchestrator
from tests.webrtc.caller import Caller
from tests.webrtc.sockets import no_more_files

SDP = {"Content-Type": "application/sdp"}


async def test_a_call_without_a_socket_is_refused_and_keeps_no_place(ready: RunningOrchestrator) -> None:
    caller = Caller()
    try:
        offer = await caller.offer()
        async with http(ready) as client:
            await client.get("/readyz")  # the connection stays open
            with no_more_files():
                for _ in range(3):  # more often than there are places
                    refused = await client.post("/v1/realtime/calls", content=offer, headers=SDP)
                    error = error_of(refused, 503)
                    assert error["code"] == "capacity_reached"
                    assert "Too many open files" in error["message"]
                    assert int(refused.headers["Retry-After"]) > 0
            assert len(ready.services.registry) == 0
            page = (await client.get("/metrics")).text
            assert 'goassist_sessions_rejected_total{reason="sockets"} 3.0' in page
            answered = await client.post("/v1/realtime/calls", content=offer, headers=SDP)
            assert answered.status_code == 201
    finally:
        await caller.close()
