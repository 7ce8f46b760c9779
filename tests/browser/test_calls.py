"""A person's call from the page: the real server, a recording for a microphone, the agent's voice in the page's ear."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import PHONE, microphone_file, opened, screenshot
from tests.end_to_end.stack import Stack
from tests.end_to_end.words import word_error_rate

pytestmark = pytest.mark.timeout(120)

# Measures the agent apart from the page's own meters: the root mean square of every 10 ms that sounds.
LISTEN = """
  async () => {
    const source = `registerProcessor("ear", class extends AudioWorkletProcessor {
      sum = 0; count = 0;
      process([[channel]]) {
        for (const sample of channel ?? new Float32Array(128)) {
          this.sum += sample * sample;
          if (++this.count === 480) { this.port.postMessage(Math.sqrt(this.sum / 480)); this.sum = this.count = 0; }
        }
        return true;
      }
    })`;
    const context = new AudioContext({ sampleRate: 48000 });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const ear = new AudioWorkletNode(context, "ear");
    window.heardLevels = [];
    ear.port.onmessage = ({ data }) => window.heardLevels.push(data);
    context.createMediaStreamSource(document.querySelector("#voice").srcObject).connect(ear);
  }
"""


async def connect(page: Page) -> None:
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("body")).to_have_attribute("data-phase", "live", timeout=20_000)


async def answered(page: Page, number: int = 0) -> str:
    """The words of the agent's answer of that number, once it was heard to its end."""
    answer = page.locator(".entry.agent:not(.live)").nth(number)
    await expect(answer).to_be_visible(timeout=30_000)
    await expect(page.locator("body")).to_have_attribute("data-state", "listening", timeout=30_000)
    return await answer.locator(".text").inner_text()


async def seconds_heard(page: Page) -> float:
    heard: int = await page.evaluate("window.heardLevels.filter((level) => level > 0.003).length")
    return heard / 100


async def test_a_spoken_question_is_written_down_and_answered_aloud(stack: Stack, tmp_path: Path) -> None:
    microphone = microphone_file(tmp_path / "microphone.wav", 5, "what_time_is_it.wav", 60)
    # The test's own worklet comes from a blob, which the page's policy forbids.
    async with opened(stack.url, microphone=microphone, bypass_csp=True) as page:
        await connect(page)
        await page.evaluate(LISTEN)
        question = page.locator(".entry.user .text").first
        answer = await answered(page)
        assert word_error_rate("What time is it?", await question.inner_text()) <= 0.5
        assert re.search(r"\b(it is|o'clock|past|to)\b", answer, re.IGNORECASE), answer
        # Speech of about the length that the words take to say.
        assert 0.02 * len(answer) < await seconds_heard(page) < 0.15 * len(answer) + 1
        await expect(page.locator(".latency summary")).to_have_text(re.compile(r"first sound \d+ ms"))
        await page.locator(".latency summary").click()
        latencies = await page.locator(".latency dl").inner_text()
        for name in ("end of turn decided", "first sound sent", "heard in this page", "voice to voice"):
            assert re.search(rf"{name}\s+\d+ ms", latencies), latencies
        heard_s = float(re.search(r"sound heard\s+([\d.]+) s", latencies)[1])  # type: ignore[index]
        assert heard_s == pytest.approx(await seconds_heard(page), abs=1.0)
        assert await page.evaluate("window.shownStates") == ["idle", "listening", "thinking", "speaking", "listening"]
        await screenshot(page, "page-answered")


async def test_talking_over_the_agent_shows_what_was_cut_off(stack: Stack, tmp_path: Path) -> None:
    microphone = microphone_file(tmp_path / "microphone.wav", 14, "what_time_is_it.wav", 60)
    async with opened(stack.url, microphone=microphone, viewport=PHONE, device_scale_factor=2) as page:
        await connect(page)
        await page.locator("#message").fill("Tell me a story.")
        await page.keyboard.press("Enter")
        await expect(page.locator("body")).to_have_attribute("data-state", "speaking", timeout=10_000)
        await screenshot(page, "page-phone-speaking")
        story = page.locator(".entry.agent").first
        await expect(story.locator(".chip.warm")).to_have_text("interrupted", timeout=30_000)
        await expect(story.locator("s.cut")).not_to_be_empty()
        assert "interrupted" in await page.evaluate("window.shownStates")  # for a moment
        await story.get_by_role("button", name="more words").click()
        whole = await story.locator(".text").inner_text()
        assert len(whole.split()) > 50
        heard = await story.locator(".text > span").first.inner_text()
        assert len(heard.split()) > 3
        await answered(page, 1)
        await expect(page.locator(".entry.user")).to_have_count(2)
        await screenshot(page, "page-phone-interrupted")


async def test_one_can_type_from_the_start_and_stop_the_answer(stack: Stack) -> None:
    async with opened(stack.url, allowed=False, viewport=PHONE, color_scheme="dark") as page:
        await page.get_by_role("button", name="Tell me a story.").click()
        await expect(page.locator("body")).to_have_attribute("data-state", "speaking", timeout=30_000)
        await expect(page.locator(".entry.user.typed .text")).to_have_text("Tell me a story.")
        await page.keyboard.press("Escape")
        await expect(page.locator(".entry.agent .chip.warm")).to_contain_text("interrupted")
        await page.locator("#message").fill("What is your name?")
        await page.keyboard.press("Enter")
        assert "goassist" in (await answered(page, 1)).lower()
        await expect(page.locator(".entry.user.typed")).to_have_count(2)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.locator("body")).to_have_attribute("data-phase", "offline")
        await expect(page.locator(".entry")).to_have_count(4)


async def test_nothing_is_wider_than_a_small_phone(stack: Stack) -> None:
    async with opened(stack.url, viewport={"width": 320, "height": 568}) as page:
        await connect(page)
        await page.locator("#message").fill("What can you do?")
        await page.keyboard.press("Enter")
        await expect(page.locator(".entry.agent .text")).not_to_be_empty(timeout=30_000)
        await screenshot(page, "page-small-phone")
        overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0
        for name in ("Mute", "Stop answer", "Hang up", "Send"):
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport()
