"""The page says plainly what is wrong, and what to do about it."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goassist_client.sound import write_wav
from playwright.async_api import Page, expect

from tests.browser.chromium import PHONE, opened, screenshot
from tests.clients.scripted_server import ScriptedCall, ScriptedServer, answer_typed, tone


def refusal(code: str, message: str, retry_after: int) -> tuple[int, str, dict[str, str]]:
    body = {"error": {"type": "server_error", "code": code, "message": message}}
    return 503, json.dumps(body), {"Retry-After": str(retry_after)}


def rejecting(name: str) -> str:
    """A script that makes the browser refuse the microphone for another reason than permission."""
    return f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{name}'); }};"


# Every microphone that the page opens, and what a browser does when one is unplugged.
NOTE_MICROPHONES = """
    window.opened = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open(wanted);
        window.opened.push(...stream.getAudioTracks());
        return stream;
    };
    window.unplug = () => {
        const track = window.opened.at(-1);
        track.stop();
        track.dispatchEvent(new Event("ended"));
    };
"""


async def heard(server: ScriptedServer) -> None:
    """The page's microphone is heard in the newest call."""
    (receiver,) = server.calls[-1].peer.getReceivers()
    async with asyncio.timeout(20):
        while float(np.abs((await receiver.track.recv()).to_ndarray().astype(float)).max()) < 500:
            pass


async def connect(page: Page) -> None:
    await page.get_by_role("button", name="Connect").click()


async def connected(page: Page) -> None:
    await expect(page.locator("body")).to_have_attribute("data-phase", "live", timeout=20_000)


async def test_a_blocked_microphone_is_explained_and_one_can_type_instead(server: ScriptedServer) -> None:
    async with opened(server.url, allowed=False) as page:
        await connect(page)
        notice = page.get_by_role("alert")
        await expect(notice).to_contain_text("The microphone is blocked")
        await expect(notice).to_contain_text("Allow it for this page")
        await screenshot(page, "page-microphone-blocked")
        assert server.offers == []
        await page.get_by_role("button", name="Type instead").click()
        await connected(page)
        await expect(page.locator("#message")).to_be_focused()
        await expect(page.locator("#mute")).to_contain_text("Use mic")


@pytest.mark.parametrize(
    ("name", "title", "advice"),
    [
        ("NotFoundError", "No microphone was found", "Plug one in"),
        ("NotReadableError", "The microphone cannot be used", "Another program"),
    ],
)
async def test_a_missing_or_busy_microphone_is_explained(
    server: ScriptedServer, name: str, title: str, advice: str
) -> None:
    async with opened(server.url, prepare=rejecting(name)) as page:
        await connect(page)
        await expect(page.get_by_role("alert")).to_contain_text(title)
        await expect(page.get_by_role("alert")).to_contain_text(advice)


async def test_an_insecure_address_gets_no_microphone_but_typed_answers(server: ScriptedServer) -> None:
    url = server.url.replace("127.0.0.1", "elsewhere.example")
    async with opened(url, allowed=False) as page:
        await connect(page)
        await expect(page.get_by_role("alert")).to_contain_text("only over https://")
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".entry.agent .text")).to_have_text("A tone.", timeout=15_000)


async def test_a_server_that_is_not_ready_is_waited_for(server: ScriptedServer) -> None:
    server.refusals += [refusal("backend_unavailable", "the model asr is still loading", 2)] * 2
    async with opened(server.url, color_scheme="dark") as page:
        await connect(page)
        notice = page.locator(".notice.wait")
        await expect(notice).to_contain_text("The server is not ready yet")
        await expect(notice).to_contain_text("The model asr is still loading. Trying again in 2 s.")
        await expect(notice).to_contain_text("Trying again in 1 s.")
        await screenshot(page, "page-server-not-ready")
        await connected(page)
        await expect(notice).to_have_count(0)
    assert len(server.offers) == 3


async def test_waiting_can_be_given_up(server: ScriptedServer) -> None:
    server.refusals.append(refusal("capacity_reached", "All 5 calls are taken.", 30))
    async with opened(server.url) as page:
        await connect(page)
        await expect(page.locator(".notice.wait")).to_contain_text("The server is at capacity")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("body")).to_have_attribute("data-phase", "offline")
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(page.get_by_role("button", name="Connect")).to_be_visible()
    assert len(server.offers) == 1


async def test_connecting_can_be_given_up_while_the_browser_asks_for_the_microphone(server: ScriptedServer) -> None:
    asking = "navigator.mediaDevices.getUserMedia = () => new Promise((grant) => { window.grant = grant; });"
    async with opened(server.url, prepare=asking) as page:
        await connect(page)
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("body")).to_have_attribute("data-phase", "offline")
        await expect(page.locator(".notice")).to_have_count(0)
        track_state = await page.evaluate("""async () => {
            const { stream } = new AudioContext().createMediaStreamDestination();
            window.grant(stream);
            await new Promise((done) => setTimeout(done));
            return stream.getAudioTracks()[0].readyState;
        }""")
        assert track_state == "ended", "what is granted after all is let go"
    assert server.offers == []


async def test_a_microphone_that_is_asked_for_twice_is_opened_once_and_let_go(server: ScriptedServer) -> None:
    async with opened(server.url, prepare=NOTE_MICROPHONES) as page:
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await connected(page)
        await expect(page.locator("#mute")).to_contain_text("Use mic")
        await page.evaluate("for (const _ of [1, 2]) document.getElementById('mute').click()")
        await expect(page.locator("#mute")).to_contain_text("Mute")
        await heard(server)
        await page.get_by_role("button", name="Hang up").click()
        assert await page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]


async def test_a_microphone_that_is_unplugged_while_the_server_is_waited_for_is_replaced(
    server: ScriptedServer,
) -> None:
    server.refusals.append(refusal("backend_unavailable", "the model asr is still loading", 5))
    async with opened(server.url, prepare=NOTE_MICROPHONES) as page:
        await connect(page)
        await expect(page.locator(".notice.wait")).to_be_visible()
        await page.evaluate("window.unplug()")
        await connected(page)
        await expect(page.locator("#mute")).to_contain_text("Mute")
        await heard(server)
        assert await page.evaluate("window.opened.map((track) => track.readyState)") == ["ended", "live"]


async def test_a_permission_that_is_withdrawn_while_the_server_is_waited_for_is_noticed(
    server: ScriptedServer,
) -> None:
    server.refusals.append(refusal("backend_unavailable", "the model asr is still loading", 5))
    async with opened(server.url, prepare=NOTE_MICROPHONES) as page:
        await connect(page)
        await expect(page.locator(".notice.wait")).to_be_visible()
        await page.context.clear_permissions()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked", timeout=20_000)
        await expect(page.locator("body")).to_have_attribute("data-phase", "offline")
        assert await page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]
    assert len(server.offers) == 1


async def test_a_microphone_that_is_unplugged_while_the_call_begins_is_said_to_be_gone(server: ScriptedServer) -> None:
    unplugged = """
        const answered = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
            window.unplug();
            return answered.call(this, answer);
        };
    """
    async with opened(server.url, prepare=NOTE_MICROPHONES + unplugged) as page:
        await connect(page)
        await connected(page)
        await expect(page.get_by_role("alert")).to_contain_text("The microphone is gone")
        await expect(page.locator("#mute")).to_contain_text("Use mic")
        await page.get_by_role("button", name="Use the microphone").click()
        await expect(page.locator("#mute")).to_contain_text("Mute")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await heard(server)


async def test_what_nobody_has_thought_of_is_shown_too(server: ScriptedServer) -> None:
    broken = "RTCPeerConnection.prototype.createOffer = async () => { throw new TypeError('no codecs'); };"
    async with opened(server.url, prepare=broken) as page:
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("The call could not be started")
        await expect(page.get_by_role("alert")).to_contain_text("no codecs")
        await expect(page.locator("#message")).to_have_value("Hello")


async def test_a_refused_call_gives_the_servers_own_words(server: ScriptedServer) -> None:
    server.refusals.append((400, json.dumps({"error": {"message": "the offer has no audio"}}), {}))
    async with opened(server.url) as page:
        await connect(page)
        await expect(page.get_by_role("alert")).to_contain_text("The server refused the call")
        await expect(page.get_by_role("alert")).to_contain_text("The offer has no audio")


async def test_a_server_that_wants_a_key_is_given_one(server: ScriptedServer) -> None:
    server.refusals.append((401, json.dumps({"error": {"message": "a key is needed"}}), {}))
    async with opened(server.url) as page:
        await connect(page)
        await expect(page.get_by_role("alert")).to_contain_text("API key required")
        await page.get_by_label("Key").fill("open sesame\N{RIGHTWARDS ARROW}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text(
            "The key has a character that an HTTP header cannot carry"
        )
        await page.get_by_label("Key").fill("open sesame")
        await page.keyboard.press("Enter")
        await connected(page)
    assert [offer.headers.get("authorization") for offer in server.offers] == [None, "Bearer open sesame"]


async def test_a_server_that_is_killed_is_noticed_and_reconnecting_says_that_it_is_gone() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.clients.scripted_server", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with opened(url) as page:
        await connect(page)
        await connected(page)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        notice = page.get_by_role("alert")
        await expect(notice).to_contain_text("The connection was lost", timeout=30_000)
        await screenshot(page, "page-connection-lost")
        await page.get_by_role("button", name="Reconnect").click()
        await expect(notice).to_contain_text("The server does not answer")
        await expect(notice).to_contain_text("make demo")


async def test_a_call_that_the_server_ends_can_be_taken_up_again(server: ScriptedServer) -> None:
    async with opened(server.url) as page:
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".entry.agent .text")).to_have_text("A tone.", timeout=15_000)
        await server.calls[0].peer.close()
        await expect(page.get_by_role("alert")).to_contain_text("The connection was lost", timeout=10_000)
        await page.get_by_role("button", name="Reconnect").click()
        await connected(page)
        await expect(page.locator(".entry")).to_have_count(2)
        await expect(page.locator(".divider")).to_have_text("new call")


async def test_a_call_that_the_server_ends_shows_the_reason_that_it_gave() -> None:
    async def expel(call: ScriptedCall, event: dict[str, Any]) -> None:
        if event["type"] == "response.create":
            message = "Nothing was said for 300 s."
            call.send("error", error={"type": "server_error", "code": "session_idle_timeout", "message": message})
            await asyncio.sleep(0.2)
            await call.peer.close()

    async with ScriptedServer(expel).running() as server, opened(server.url) as page:
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.locator("body")).to_have_attribute("data-phase", "lost", timeout=15_000)
        notice = page.get_by_role("alert")
        await expect(notice).to_have_count(1)
        await expect(notice).to_contain_text("The server ended the call")
        await expect(notice).to_contain_text("Nothing was said for 300 s.")
        await expect(page.get_by_role("button", name="Reconnect")).to_be_visible()


async def test_typing_cancels_an_answer_that_is_made_and_silences_one_that_is_complete() -> None:
    answers = 0

    async def answer(call: ScriptedCall, event: dict[str, Any]) -> None:
        nonlocal answers
        if event["type"] == "response.cancel":
            call.send("response.done", response={"id": f"resp_{answers}", "status": "cancelled"})
            late = {"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "Too late."}
            call.send("error", error=late)
        elif event["type"] == "response.create":
            answers += 1
            ids = {"response_id": f"resp_{answers}", "item_id": f"item_{answers}"}
            call.send("response.created", response={"id": ids["response_id"], "status": "in_progress"})
            call.send("response.output_item.added", response_id=ids["response_id"], item={"id": ids["item_id"]})
            call.send("response.output_audio_transcript.delta", delta=f"Answer {answers}.", **ids)
            call.send("goassist.state", state="speaking", previous="thinking", turn=answers, at_ms=0)
            if answers > 1:
                call.send("response.done", response={"id": ids["response_id"], "status": "completed"})
            if answers > 2:
                call.send("goassist.state", state="listening", previous="speaking", turn=answers, at_ms=0)

    async with ScriptedServer(answer).running() as server, opened(server.url) as page:
        for number, shown in ((1, "speaking"), (2, "speaking"), (3, "listening"), (4, "listening")):
            await page.locator("#message").fill("Next")
            await page.keyboard.press("Enter")
            await expect(page.locator(".entry.agent .text").nth(number - 1)).to_have_text(
                f"Answer {number}.", timeout=15_000
            )
            await expect(page.locator(".entry.agent.live")).to_have_count(int(number == 1))
            await expect(page.locator("body")).to_have_attribute("data-state", shown)
        await expect(page.locator(".notice")).to_have_count(0)
        asked = ["conversation.item.create", "response.create"]
        assert [event["type"] for event in server.calls[0].received] == [
            *asked,
            *("response.cancel", "output_audio_buffer.clear", *asked),
            *("output_audio_buffer.clear", *asked),
            *asked,
        ]


LOST = {"type": "server_error", "code": "backend_unavailable", "message": "The language model was lost."}
FAILED = {"id": "resp_0", "status": "failed", "status_details": {"type": "failed", "error": LOST}}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("error", {"error": LOST}),
        ("response.done", {"response": FAILED}),
        (
            "conversation.item.input_audio_transcription.failed",
            {"item_id": "item_0", "content_index": 0, "error": LOST},
        ),
    ],
)
async def test_what_failed_is_shown_and_the_call_goes_on(kind: str, fields: dict[str, Any]) -> None:
    async def fail_first(call: ScriptedCall, event: dict[str, Any]) -> None:
        if event["type"] == "response.create" and len(call.received) == 2:
            call.send(kind, **fields)
        else:
            await answer_typed(call, event)

    async with ScriptedServer(fail_first).running() as server, opened(server.url, viewport=PHONE) as page:
        await page.locator("#message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("The language model was lost.", timeout=15_000)
        await screenshot(page, "page-phone-error")
        await page.locator("#message").fill("Again")
        await page.keyboard.press("Enter")
        await expect(page.locator(".entry.agent .text")).to_have_text("A tone.")
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_silenced_page_asks_for_the_click_that_its_browser_waits_for(server: ScriptedServer) -> None:
    blocked = """
        let blocked = true;
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () {
            return blocked ? Promise.reject(new DOMException("click first", "NotAllowedError")) : play.call(this);
        };
        addEventListener("click", ({ target }) => { blocked &&= target.textContent !== "Turn sound on"; }, true);
    """
    async with opened(server.url, prepare=blocked) as page:
        await connect(page)
        await connected(page)
        await expect(page.locator(".notice")).to_contain_text("until you click")
        await page.get_by_role("button", name="Turn sound on").click()
        await expect(page.locator(".notice")).to_have_count(0)


async def test_leaving_the_page_hangs_up(server: ScriptedServer) -> None:
    async with opened(server.url) as page:
        await connect(page)
        await connected(page)
        await page.goto("about:blank")
        async with asyncio.timeout(20):
            while not server.hung_up:
                await asyncio.sleep(0.05)
    assert server.hung_up == ["rtc_1"]


async def test_muting_sends_silence_and_unmuting_sends_the_voice(server: ScriptedServer, tmp_path: Path) -> None:
    write_wav(tmp_path / "tone.wav", tone(30), 48_000)
    async with opened(server.url, microphone=tmp_path / "tone.wav") as page:
        await connect(page)
        await connected(page)
        (receiver,) = server.calls[0].peer.getReceivers()

        async def loudest(frames: int) -> float:
            heard = [(await receiver.track.recv()).to_ndarray() for _ in range(frames)]
            return float(np.abs(np.concatenate(heard, axis=1).astype(float)).max())

        async with asyncio.timeout(20):
            while await loudest(10) < 500:
                pass
            await page.get_by_role("button", name="Mute").click()
            while await loudest(10) > 50:
                pass
            await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
            await page.keyboard.press("Alt+m")
            while await loudest(10) < 500:
                pass
