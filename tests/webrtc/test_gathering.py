"""orchestrator/webrtc/gathering.py: where a call listens, what that costs others, and what is said where it cannot."""

import asyncio
import gc
import socket
import time
from collections.abc import Iterator

import pytest
from aiortc import RTCIceServer

from orchestrator.errors import CapacityError, ConfigurationError, InvalidRequestError
from orchestrator.webrtc.plane import MediaPlane
from tests.webrtc.caller import HOST, Callee, Caller, connect, eventually, hang_up
from tests.webrtc.conftest import Run
from tests.webrtc.offers import CHROME
from tests.webrtc.sockets import no_more_files, open_sockets

ELSEWHERE = "192.0.2.77"  # RFC 5737: nobody's address


@pytest.fixture
def silent_server() -> Iterator[RTCIceServer]:
    """A STUN server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((HOST, 0))
        yield RTCIceServer(urls=f"stun:{HOST}:{listener.getsockname()[1]}")


async def test_a_stun_server_that_does_not_answer_holds_up_no_other_call(
    silent_server: RTCIceServer, caplog: pytest.LogCaptureFixture
) -> None:
    plane = MediaPlane(hosts=[HOST], ice_servers=[silent_server])
    callees = [Callee(plane) for _ in range(6)]
    began = time.monotonic()
    answers = await asyncio.gather(*(callee.peer.answer(CHROME) for callee in callees))
    assert time.monotonic() - began < 4.5, "each waits a second, and all at once"
    assert all(f" {HOST} " in answer for answer in answers)
    assert caplog.messages.count("no candidate came from a STUN or TURN server within 1 s") == 6
    await asyncio.gather(*(callee.peer.close() for callee in callees))


async def test_a_call_closed_while_a_server_is_asked_leaves_no_socket(silent_server: RTCIceServer) -> None:
    sockets = open_sockets()
    callee = Callee(MediaPlane(hosts=[HOST], ice_servers=[silent_server]))
    answering = asyncio.ensure_future(callee.peer.answer(CHROME))
    await eventually(lambda: open_sockets() > sockets)
    await callee.peer.close()
    with pytest.raises(Exception, match="over"):
        await answering
    await eventually(lambda: open_sockets() == sockets)


def test_a_call_closed_at_any_moment_of_its_answer_leaves_no_socket(run: Run) -> None:
    async def scenario() -> None:
        await asyncio.sleep(0)
        sockets = open_sockets()
        for moment in range(20):
            callee = Callee()
            answering = asyncio.ensure_future(callee.peer.answer(CHROME))
            for _ in range(moment):
                await asyncio.sleep(0)
            await callee.peer.close()
            (outcome,) = await asyncio.gather(answering, return_exceptions=True)
            assert isinstance(outcome, str | InvalidRequestError)
            await eventually(lambda: open_sockets() == sockets)

    gc.disable()  # which would close them late
    try:
        run(scenario())
    finally:
        gc.enable()


@pytest.mark.parametrize(("host", "why"), [(ELSEWHERE, "cannot listen"), ("a.name.invalid", "must name IP addresses")])
async def test_a_host_that_is_not_here_is_told_at_the_start(host: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"WEBRTC_HOSTS.*{why}"):
        MediaPlane(hosts=[HOST, host])


async def test_an_address_that_has_gone_since_is_told_to_the_client() -> None:
    plane = MediaPlane(hosts=[HOST])
    object.__setattr__(plane, "hosts", [ELSEWHERE])
    callee = Callee(plane)
    with pytest.raises(CapacityError, match=r"No socket could be opened .*assign requested address"):
        await callee.peer.answer(CHROME)
    assert callee.log == []


@pytest.mark.parametrize("hosts", [[HOST], []], ids=["one address", "all addresses"])
async def test_a_process_that_may_open_no_more_files_refuses_calls_and_recovers(hosts: list[str]) -> None:
    plane = MediaPlane(hosts=hosts)
    await asyncio.sleep(0)
    tasks, sockets = len(asyncio.all_tasks()), open_sockets()
    callee = Callee(plane)
    with no_more_files(), pytest.raises(CapacityError, match=r"No socket .* \(Too many open files\)"):
        await callee.peer.answer(CHROME)
    assert callee.log == []
    await eventually(lambda: len(asyncio.all_tasks()) == tasks and open_sockets() == sockets)
    caller, callee = Caller(), Callee(MediaPlane(hosts=[HOST]))
    await connect(caller, callee)
    await hang_up(caller, callee)


async def test_a_missing_socket_is_no_fault_of_the_settings() -> None:
    """A plane is copied for each call, so it is asked when calls are many, too."""
    with no_more_files():
        MediaPlane(hosts=[HOST])
