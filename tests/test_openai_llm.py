import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.history import Message
from orchestrator.errors import (
    BackendRejectedError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    GoAssistError,
)
from orchestrator.openai_llm import OpenAiLlm
from orchestrator.readiness import ReadinessCheck
from tests.servers.openai_server import OpenAiServer, run_openai_server

CHAT = [Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hi!"), Message("user", "Time?")]


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with run_openai_server() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAiServer) -> AsyncIterator[OpenAiLlm]:
    model = OpenAiLlm(server.url, first_token_timeout_s=5.0)
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
    assert await asyncio.to_thread(server.aborted.wait, 20)


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
    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        await llm.ready()
    await llm.close()


async def test_a_server_is_ready_when_it_lists_the_model(server: OpenAiServer, llm: OpenAiLlm) -> None:
    assert await llm.ready()
    chosen = OpenAiLlm(server.url, model="small-model")
    assert await chosen.ready()
    await chosen.close()


KEY = "sk-0123456789"


@asynccontextmanager
async def answering(status: int, body: str, kind: str = "application/json", *, port: int = 0) -> AsyncIterator[str]:
    """The address of a server that answers everything so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"


async def reason(url: str, *, model: str | None = None) -> str:
    """Why the server there cannot be used."""
    llm = OpenAiLlm(url, model=model, api_key=KEY)
    with pytest.raises(GoAssistError) as caught:
        await llm.ready()
    await llm.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, '{"error": {"message": "bad key"}}', "application/json", "refuses the key: set LLM_API_KEY"),
        (403, "", "text/plain", "refuses the key: set LLM_API_KEY"),
        (404, '{"detail": "Not Found"}', "application/json", "no list of models there: set LLM_BASE_URL"),
        (200, "<!doctype html><title>Chat</title>", "text/html", "no list of models there: set LLM_BASE_URL"),
        (200, '{"data": null}', "application/json", "no list of models there: set LLM_BASE_URL"),
        (200, '["a", "b"]', "application/json", "no list of models there: set LLM_BASE_URL"),
        (200, '{"data": []}', "application/json", "serves no model"),
        (500, "", "text/plain", "cannot answer now (HTTP 500)"),
        (400, f'{{"error": {{"message": "Key {KEY}\\nis invalid."}}}}', "application/json", "Key *** is invalid."),
    ],
)
async def test_why_a_server_cannot_be_used_is_told_without_the_key(
    status: int, body: str, kind: str, said: str
) -> None:
    async with answering(status, body, kind) as url:
        told = await reason(url.replace("://", f"://user:{KEY}@") + f"?key={KEY}")
        assert said in told
        assert f"at {url} " in told
        assert KEY not in told
        assert "\n" not in told


async def test_long_words_of_a_server_are_cut() -> None:
    async with answering(400, '{"error": {"message": "' + "no " * 1_000 + '"}}') as url:
        assert len(await reason(url)) < 400


async def test_a_model_that_the_server_has_not_is_told_with_those_that_are_most_like_it() -> None:
    names = ["whisper", "embedding", "qwen", "qwen-large", "tts"]
    async with answering(200, '{"data": [' + ", ".join(f'{{"id": "{name}"}}' for name in names) + "]}") as url:
        assert 'no model "qwenn": set LLM_MODEL to one of its own (qwen, qwen-large, ' in (
            told := await reason(url, model="qwenn")
        )
        assert told.endswith(", …)")


async def test_a_server_that_serves_another_model_than_before_is_ready_where_none_was_chosen() -> None:
    async with answering(200, '{"data": [{"id": "before"}]}') as url:
        llm = OpenAiLlm(url)
        assert await llm.ready()
        with pytest.raises(GoAssistError):  # it answers the chat with its models, too
            _ = [delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)]
    async with answering(200, '{"data": [{"id": "after"}]}', port=int(url.split(":")[2].removesuffix("/v1"))):
        assert await llm.ready()
    await llm.close()


@pytest.mark.parametrize("key", ["sk-\N{RIGHTWARDS ARROW}", "sk-a\nb"])
def test_a_key_that_no_request_can_carry_stops_the_start(key: str) -> None:
    with pytest.raises(ConfigurationError, match="LLM_API_KEY") as caught:
        OpenAiLlm("http://127.0.0.1:9/v1", api_key=key)
    assert key not in str(caught.value)


async def test_a_key_with_a_line_end_from_its_file_is_sent_without_it(server: OpenAiServer) -> None:
    llm = OpenAiLlm(server.url, api_key=f"{KEY}\n")
    assert await llm.ready()
    await llm.close()


async def test_a_reason_is_logged_once_until_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    seconds = iter(range(1_000))
    async with answering(401, "") as url:
        llm = OpenAiLlm(url, api_key=KEY)
        check = ReadinessCheck({"llm": llm.ready}, clock=lambda: float(next(seconds)))
        for _ in range(3):
            with pytest.raises(BackendUnavailableError) as caught:
                await check.require()
    refused, lost = "refuses the key: set LLM_API_KEY", "cannot be reached"
    assert str(caught.value).endswith(refused), "to try again helps nobody"
    assert str(caught.value).startswith("not ready: llm; the language model's server at ")
    for _ in range(3):
        assert lost in (await check.current()).missing
    await llm.close()
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2
    assert refused in warned[0]
    assert lost in warned[1]


async def test_five_answers_at_once_are_kept_apart(server: OpenAiServer, llm: OpenAiLlm) -> None:
    async def answer() -> str:
        return "".join([delta async for delta in llm.generate(CHAT, max_tokens=None, temperature=0)])

    assert await asyncio.gather(*(answer() for _ in range(5))) == ["It is five."] * 5
