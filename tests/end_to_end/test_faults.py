"""What goes wrong does not end the call, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from aiortc import RTCPeerConnection
from goassist_client.client import VoiceClient
from goassist_client.errors import CallError

from tests.end_to_end.conftest import ARTIFACTS, AUDIO
from tests.end_to_end.stack import Stack, descendants, eventually

GONE_WITHIN_S = 20.0


def sessions(stack: Stack) -> int:
    return len(stack.json("/sessions")["sessions"])


async def test_a_message_that_is_not_valid_is_answered_by_an_error_and_the_call_goes_on(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        for message in ("this is no JSON", "[]", '{"type": "no.such.event"}', '{"type": "conversation.item.create"}'):
            client.send_raw(message)
            error = (await client.wait_for("error"))["error"]
            assert error["type"] == "invalid_request_error"
            assert error["message"]
        client.write("Hello")
        await client.wait_for("response.done")


async def test_an_offer_whose_client_never_connects_is_forgotten(stack: Stack) -> None:
    before = sessions(stack)
    connection = RTCPeerConnection()
    connection.addTransceiver("audio")
    connection.createDataChannel("oai-events")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{stack.url}/v1/realtime/calls", content=sdp, headers={"Content-Type": "application/sdp"}
        )
    assert answer.status_code == 201
    assert sessions(stack) == before + 1
    await eventually(lambda: sessions(stack) == before, GONE_WITHIN_S)
    await connection.close()


async def test_a_client_that_is_killed_is_noticed(stack: Stack) -> None:
    before = sessions(stack)
    program = (
        "import asyncio, sys\n"
        "from goassist_client.client import VoiceClient\n"
        "async def call():\n"
        "    async with VoiceClient(sys.argv[1]) as client:\n"
        "        print('connected', flush=True)\n"
        "        await client.wait_until_lost()\n"
        "asyncio.run(call())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, stack.url], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert await asyncio.to_thread(caller.stdout.readline) == b"connected\n"
        assert sessions(stack) == before + 1
        caller.kill()
    await eventually(lambda: sessions(stack) == before, GONE_WITHIN_S)


@pytest.mark.timeout(300)
async def test_triton_killed_in_mid_answer_costs_the_answer_and_not_the_call() -> None:
    stack = Stack(ARTIFACTS / "goassist-killed-triton.log")
    try:
        async with VoiceClient(stack.url) as client:
            await client.say(AUDIO / "tell_me_a_story.wav")
            await client.wait_for("output_audio_buffer.started", timeout_s=30)
            os.kill(stack.triton_pid(), signal.SIGKILL)
            done = await client.wait_for(
                "response.done", where=lambda e: e["response"]["status"] == "failed", timeout_s=60
            )
            error = done["response"]["status_details"]["error"]
            assert error["type"] == "server_error"
            assert error["message"]
            await eventually(lambda: stack.status("/readyz") == 503, 30)
            await eventually(lambda: stack.status("/readyz") == 200, 60)
            await client.wait_for("output_audio_buffer.stopped", timeout_s=60)
            question = await client.say(AUDIO / "what_time_is_it.wav")
            await client.wait_for("response.done", where=lambda e: e["response"]["status"] == "completed", timeout_s=30)
            await client.wait_until_audible(after_s=question.speech_ended_s)
            assert client.lost is None
    finally:
        stack.stop()


def shared_memory_of(pid: int) -> set[str]:
    """Names in /dev/shm that a process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {Path(line.split()[5]).name for line in maps.splitlines() if " /dev/shm/" in line}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(240)
async def test_an_interrupt_leaves_no_process_port_or_shared_memory() -> None:
    stack = Stack(ARTIFACTS / "goassist-interrupted.log")
    async with VoiceClient(stack.url) as client:
        await client.say(AUDIO / "tell_me_a_story.wav")
        await client.wait_for("output_audio_buffer.started", timeout_s=30)
        children = descendants(stack.process.pid)
        assert len(children) >= 4, "Triton and a stub for each model"
        shared_memory = set().union(*[shared_memory_of(pid) for pid in children])
        assert shared_memory
        stopped = asyncio.create_task(asyncio.to_thread(stack.stop))
        await client.wait_until_lost()
        assert await stopped == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not listens(stack.port)
    assert not shared_memory & set(os.listdir("/dev/shm"))


async def test_a_full_server_refuses_the_next_call() -> None:
    stack = Stack(ARTIFACTS / "goassist-full.log", MAX_CONCURRENT_SESSIONS="1")
    try:
        async with VoiceClient(stack.url):
            with pytest.raises(CallError):
                await VoiceClient(stack.url).connect()
            answer = httpx.post(f"{stack.url}/sessions", json={})
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
    finally:
        stack.stop()
