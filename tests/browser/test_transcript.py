"""conversation.js: server events in, entries of the conversation out. It is pure, and runs in the real engine."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.chromium import opened
from tests.clients.scripted_server import ScriptedServer, answer_typed

pytestmark = pytest.mark.asyncio(loop_scope="module")
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "response.output_audio_transcript.delta"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    async with ScriptedServer(answer_typed).running() as server, opened(server.url) as page:
        yield page


async def entries(page: Page, *steps: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries after these events; `at` is when one arrives. `heard` and `typed` are the page's own doings."""
    result: list[dict[str, Any]] = await page.evaluate(
        """async (steps) => {
            const { Conversation } = await import("./conversation.js");
            const conversation = new Conversation();
            for (const { at = 0, ...step } of steps) {
                if (step.type === "heard") conversation.heard(at, step.seconds);
                else if (step.type === "typed") conversation.type(step.id, step.text, at);
                else conversation.apply(step, at);
            }
            return conversation.entries;
        }""",
        list(steps),
    )
    return result


def added(item_id: str, response_id: str) -> dict[str, Any]:
    return {"type": "response.output_item.added", "response_id": response_id, "item": {"id": item_id}}


def delta(item_id: str, text: str) -> dict[str, Any]:
    return {"type": DELTA, "item_id": item_id, "delta": text}


def done(response_id: str, status: str) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response_id, "status": status}}


def retrieved(item_id: str, heard: str) -> dict[str, Any]:
    content = [{"type": "output_audio", "transcript": heard}]
    return {
        "type": "conversation.item.retrieved",
        "item": {"id": item_id, "type": "message", "role": "assistant", "content": content},
    }


async def test_a_users_words_grow_and_become_final(page: Page) -> None:
    started = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
    partial = {"type": "goassist.transcript", "item_id": "u", "text": "what tie", "stable_chars": 4}
    (entry,) = await entries(page, started, partial)
    assert (entry["text"], entry["stable"], entry["done"]) == ("what tie", 4, False)
    final = {"type": COMPLETED, "item_id": "u", "transcript": "what time is it "}
    (entry,) = await entries(page, started, partial, final)
    assert (entry["role"], entry["text"], entry["done"]) == ("user", "what time is it", True)


async def test_the_question_stays_before_its_answer_though_its_final_words_come_later(page: Page) -> None:
    found = await entries(
        page,
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
        added("a", "r"),
        delta("a", "Four."),
        {"type": COMPLETED, "item_id": "u", "transcript": "what time is it"},
    )
    assert [(entry["role"], entry["text"]) for entry in found] == [("user", "what time is it"), ("agent", "Four.")]


async def test_a_typed_message_is_shown_once_though_the_server_repeats_it(page: Page) -> None:
    item = {"id": "t", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    (entry,) = await entries(
        page,
        {"type": "typed", "id": "t", "text": "Hello"},
        {"type": "conversation.item.added", "item": item},
    )
    assert (entry["text"], entry["typed"], entry["done"]) == ("Hello", True, True)


async def test_an_interrupted_answer_keeps_what_was_heard_apart_from_what_was_cut_off(page: Page) -> None:
    answer = [added("a", "r"), delta("a", "Once upon a"), delta("a", " time there was a clock.")]
    truncated = {"type": "conversation.item.truncated", "item_id": "a", "audio_end_ms": 900}
    for order in (
        [truncated, done("r", "cancelled"), retrieved("a", "Once upon a time")],
        [truncated, retrieved("a", "Once upon  a time"), done("r", "cancelled")],
    ):
        (entry,) = await entries(page, *answer, *order)
        assert entry["text"][: entry["spoken"]] == "Once upon a time"
        assert entry["done"]


async def test_an_answer_that_is_cancelled_before_it_sounds_is_cut_off_whole(page: Page) -> None:
    (entry,) = await entries(page, added("a", "r"), delta("a", "Once upon a time"), done("r", "cancelled"))
    assert entry["spoken"] == 0


async def test_an_answer_that_was_heard_to_its_end_is_not_cut(page: Page) -> None:
    (entry,) = await entries(page, added("a", "r"), delta("a", "Hello."), done("r", "completed"))
    assert entry["spoken"] is None
    (entry,) = await entries(page, added("a", "r"), delta("a", "Hello."), retrieved("a", "Hello. And more"))
    assert entry["spoken"] == len("Hello.")


async def test_a_failed_answer_says_so(page: Page) -> None:
    (entry,) = await entries(page, added("a", "r"), delta("a", "Well,"), done("r", "failed"))
    assert (entry["failed"], entry["done"]) == (True, True)


async def test_the_first_sound_is_measured_from_the_end_of_the_turn(page: Page) -> None:
    (entry,) = await entries(
        page,
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "at": 1000},
        added("a", "r"),
        {"type": "heard", "at": 1180, "seconds": 0.01},
        {"type": "heard", "at": 1190, "seconds": 0.01},
    )
    assert entry["heardMs"] == 180
    assert round(entry["heardS"], 3) == 0.02


async def test_metrics_belong_to_the_answer_of_their_response(page: Page) -> None:
    metrics = {"type": "goassist.metrics", "response_id": "r1", "ttfa_ms": 42}
    first, second = await entries(page, added("a1", "r1"), added("a2", "r2"), metrics)
    assert first["metrics"]["ttfa_ms"] == 42
    assert second["metrics"] is None
