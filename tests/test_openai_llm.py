import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.history import Message
from orchestrator.errors import BackendRejectedError, BackendTimeoutError, BackendUnavailableError, GoAssistError
from orchestrator.openai_llm import OpenAiLlm
from tests.servers.openai_server import OpenAiServer, run_openai_server

CHAT = [Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hi!"), Message("user", "Time?")]


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with run_openai_server() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAiServer) -> AsyncIterator[OpenAiLlm]:
    model = OpenAiLlm(server.url, first_token_timeout_s=1.0)
    yield model
    await model.close()


async def test_an_answer_is_streamed_with_its_counts_and_reason(server: OpenAiServer, llm: OpenAiLlm) -> None:
    generation = llm.generate(CHAT, max_tokens=50, temperature=0.5)
    assert [delta async for delta in generation] == ["It", " is", " five", "."]
    assert (generation.input_tokens, generation.output_tokens, generation.finish_reason) == (11, 4, "stop")
    (request,) = server.requests
    assert request["messages"] == [{"role": message.role, "content": message.content} for message in CHAT]
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("small-model", 50, 0.5)


async def test_what_is_written_so_far_is_counted_before_the_server_says_how_much_it_was(llm: OpenAiLlm) -> None:
    generation = llm.generate(CHAT, max_tokens=50, temperature=0.5)
    assert [await anext(generation), await anext(generation)] == ["It", " is"]
    assert generation.output_tokens == 2
    await generation.aclose()


async def test_without_max_tokens_the_server_decides(server: OpenAiServer, llm: OpenAiLlm) -> None:
    _ = [delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)]
    assert "max_tokens" not in server.requests[0]


async def test_more_tokens_than_the_context_has_room_for_are_not_asked_for(
    server: OpenAiServer, llm: OpenAiLlm
) -> None:
    """vLLM refuses such a request, however short the answer would be."""
    for length in (10, 5_000, 20_000):
        chat = [Message("user", "好" * length)]
        _ = [delta async for delta in llm.generate(chat, max_tokens=4_096, temperature=0)]
    short, long, too_long = (request["max_tokens"] for request in server.requests)
    assert short == 4_096
    assert 3_000 < long <= CONTEXT_TOKENS - 5_000
    assert too_long == 1


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [
        ("what time is it now? " * 100, 500, 600),
        ("你好，世界。" * 100, 600, 700),
        ("Grüße aus Köln und bis bald. " * 100, 700, 1_200),
        ("नमस्ते दुनिया " * 100, 1_200, 1_300),
    ],
)
async def test_tokens_are_not_underestimated_in_other_scripts(
    llm: OpenAiLlm, text: str, at_least: int, at_most: int
) -> None:
    assert at_least <= llm.count_tokens([Message("user", text)]) <= at_most


async def test_deltas_arrive_while_the_answer_is_being_written(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.words, server.interval_s = ["a", "b", "c"], 0.2
    async with aclosing(llm.generate(CHAT, max_tokens=None, temperature=0)) as generation:
        assert await anext(generation) == "a"
        assert generation.finish_reason is None


async def test_closing_aborts_the_answer_at_the_server(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.words, server.interval_s = ["word "] * 500, 0.02
    async with aclosing(llm.generate(CHAT, max_tokens=None, temperature=0)) as generation:
        await anext(generation)
        assert not server.aborted.is_set()
    assert await asyncio.to_thread(server.aborted.wait, 2)


async def test_the_connection_serves_the_next_answer_after_an_abort(server: OpenAiServer, llm: OpenAiLlm) -> None:
    async with aclosing(llm.generate(CHAT, max_tokens=None, temperature=0)) as generation:
        await anext(generation)
    assert "".join([delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)]) == "It is five."


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("unauthorized", BackendRejectedError, "LLM_API_KEY"),
        ("bad request", BackendRejectedError, "told to be bad request"),
        ("overloaded", BackendUnavailableError, "HTTP 503"),
        ("cut", BackendUnavailableError, "was lost"),
        ("error event", BackendUnavailableError, "out of memory"),
        ("garbage", BackendUnavailableError, "no chat completion"),
        ("stall", BackendTimeoutError, "in time"),
        ("no model", BackendUnavailableError, "serves no model"),
    ],
)
async def test_a_fault_of_the_server_is_told_and_the_next_answer_works(
    server: OpenAiServer, llm: OpenAiLlm, fault: str, kind: type[GoAssistError], said: str
) -> None:
    server.fault = fault  # type: ignore[assignment]
    with pytest.raises(kind, match=said) as caught:
        _ = [delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)]
    assert type(caught.value) is kind
    server.fault = "none"
    assert "".join([delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)]) == "It is five."


async def test_an_unreachable_server_is_unavailable_and_not_ready() -> None:
    llm = OpenAiLlm("http://127.0.0.1:9/v1", model="any")
    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        await anext(llm.generate(CHAT, max_tokens=None, temperature=0))
    assert not await llm.ready()
    await llm.close()


async def test_a_server_is_ready_when_it_lists_the_model(server: OpenAiServer, llm: OpenAiLlm) -> None:
    assert await llm.ready()
    other = OpenAiLlm(server.url, model="another-model")
    assert not await other.ready()
    await other.close()


async def test_five_answers_at_once_are_kept_apart(server: OpenAiServer, llm: OpenAiLlm) -> None:
    async def answer() -> str:
        return "".join([delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)])

    assert await asyncio.gather(*(answer() for _ in range(5))) == ["It is five."] * 5
