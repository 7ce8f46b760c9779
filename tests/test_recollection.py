"""Conversations that outgrow the language model's context, held with the real orchestrator.

The model is a server of OpenAI's protocol, whose requests show what the model was given.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from orchestrator.core.context import PROMPT_TOKENS, REQUEST, SUMMARY_TOKENS
from orchestrator.recollection import Recollection
from orchestrator.triton.prompt import CHARACTERS_PER_TOKEN
from tests.servers.openai_server import OpenAiServer, run_openai_server
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton

INSTRUCTIONS = "You are Ada."
# Of about 1500 tokens: five of them outgrow the context.
LONG = "The garden was green and the sky was blue. " * 140
SUMMARY = "They talked about a garden."


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with run_openai_server() as running:
        running.words = SUMMARY.split(" ")
        running.words[1:] = [f" {word}" for word in running.words[1:]]
        yield running


@pytest.fixture
async def ready(triton: RunningTriton, server: OpenAiServer) -> AsyncIterator[RunningOrchestrator]:
    async with run_orchestrator(triton_url=triton.grpc_url, llm_base_url=server.url) as running:
        yield running


class Chat:
    """A session that is typed to."""

    def __init__(self, running: RunningOrchestrator, client: httpx.AsyncClient, session_id: str) -> None:
        self._running, self._client, self._id = running, client, session_id

    async def say(self, text: str) -> httpx.Response:
        return await self._client.post(f"/sessions/{self._id}/chat", json={"message": text})

    @property
    def recollection(self) -> Recollection:
        (call,) = self._running.services.registry
        return call.session._recollection

    async def tidied(self) -> None:
        """Wait until what began after the last answer has ended."""
        if (task := self.recollection._task) is not None:
            await asyncio.wait([task], timeout=10)


@pytest.fixture
async def chat(ready: RunningOrchestrator) -> AsyncIterator[Chat]:
    async with httpx.AsyncClient(base_url=ready.url, trust_env=False, timeout=30) as client:
        begun = await client.post("/sessions", json={"system_prompt": INSTRUCTIONS})
        yield Chat(ready, client, begun.json()["session_id"])


class Requests(list[dict[str, Any]]):
    """What the server is asked, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        self._loop.call_soon_threadsafe(self._came.set)

    async def reach(self, count: int) -> None:
        """Wait until there are so many."""
        async with asyncio.timeout(10):
            while len(self) < count:
                self._came.clear()
                await self._came.wait()


def contents(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["messages"]]


def tokens(request: dict[str, Any]) -> int:
    return sum(len(content) for content in contents(request)) // CHARACTERS_PER_TOKEN


async def test_a_long_conversation_is_summarised_after_an_answer_and_the_next_turn_goes_on_from_there(
    server: OpenAiServer, chat: Chat
) -> None:
    for number in range(5):
        answer = await chat.say(f"{number}: {LONG}")
        assert answer.status_code == 200, answer.text[:300]
        await chat.tidied()
    (summary,) = [request for request in server.requests if contents(request)[-1] == REQUEST]
    assert summary["max_tokens"] == SUMMARY_TOKENS
    before = server.requests[server.requests.index(summary) - 1]
    shared = len(summary["messages"]) - 1
    assert summary["messages"][:-1] == before["messages"][:shared], "what the model has read already comes first"

    assert (await chat.say("And now?")).status_code == 200
    pinned, *kept, last = contents(server.requests[-1])
    assert pinned.startswith(f"{INSTRUCTIONS}\n\n")
    assert pinned.endswith(SUMMARY)
    assert kept[0].startswith("3: "), "the newest stays word for word"
    assert last == "And now?"


async def test_no_prompt_is_ever_longer_than_the_model_takes(server: OpenAiServer, chat: Chat) -> None:
    for number in range(12):
        assert (await chat.say(f"{number}: {LONG * 2}")).status_code == 200
    assert max(map(tokens, server.requests)) <= PROMPT_TOKENS
    summaries = [request for request in server.requests if contents(request)[-1] == REQUEST]
    assert len(summaries) >= 3
    assert SUMMARY in contents(summaries[-1])[0], "a summary is made of the one before it, too"


async def test_a_turn_that_finds_no_room_waits_for_it(server: OpenAiServer, chat: Chat) -> None:
    assert (await chat.say(LONG * 3)).status_code == 200
    answer = await chat.say(LONG * 3)
    assert answer.json()["response"] == SUMMARY
    assert [contents(request)[-1] == REQUEST for request in server.requests] == [False, True, False]
    assert len(server.requests[-1]["messages"]) == 2, "the instructions with the summary, and the message"


async def test_a_conversation_that_cannot_be_summarised_is_told_and_goes_on_when_it_can(
    server: OpenAiServer, chat: Chat, ready: RunningOrchestrator
) -> None:
    assert (await chat.say(LONG * 3)).status_code == 200
    server.fault = "overloaded"
    refused = await chat.say(LONG * 3)
    assert refused.status_code == 503
    error = refused.json()["error"]
    assert error["code"] == "context_full"
    assert "could not be summarised" in error["message"]
    assert "cannot answer now" in error["message"], "the cause is told"
    server.fault = "none"
    assert (await chat.say("Can you hear me?")).json()["response"] == SUMMARY
    metrics = ready.services.shared.metrics.exposition().decode()
    for outcome in ("backend_unavailable", "made"):
        assert f'goassist_context_summaries_total{{outcome="{outcome}"}}' in metrics


async def test_a_summary_that_takes_too_long_is_no_reason_to_hang(server: OpenAiServer, chat: Chat) -> None:
    assert (await chat.say(LONG * 3)).status_code == 200
    chat.recollection._wait_s = 0.5
    server.interval_s = 1.0
    refused = await chat.say(LONG * 3)
    assert refused.json()["error"]["code"] == "context_full"
    assert "not written in time" in refused.json()["error"]["message"]
    server.interval_s = 0.0
    await chat.tidied()
    assert (await chat.say("Can you hear me?")).status_code == 200, "it was written all the same"


async def test_a_session_ends_while_its_summary_is_being_written(
    server: OpenAiServer, chat: Chat, ready: RunningOrchestrator
) -> None:
    server.requests = requests = Requests()
    server.interval_s = 0.3
    assert (await chat.say(LONG * 4)).status_code == 200
    (call,) = ready.services.registry
    writing = asyncio.create_task(chat.say(LONG * 3))
    await requests.reach(2)
    assert contents(requests[1])[-1] == REQUEST
    call.session.close("The test is over.")
    await asyncio.wait_for(writing, 10)
    assert await asyncio.to_thread(server.aborted.wait, 5), "the model writes no more"
