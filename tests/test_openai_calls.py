import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.functions import Function, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.errors import BackendRejectedError, BackendUnavailableError
from orchestrator.openai_llm import OpenAiLlm
from tests.servers.openai_server import OpenAiServer, run_openai_server

CHAT = [Message("system", "Be brief."), Message("user", "Weather in Oslo?")]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTIONS = Functions((Function("get_weather", "Tell the weather.", CITY), Function("stop")))
OSLO = FunctionCall("call_1", "get_weather", '{"city": "Oslo"}')


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with run_openai_server() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAiServer) -> AsyncIterator[OpenAiLlm]:
    model = OpenAiLlm(server.url, first_token_timeout_s=5.0)
    yield model
    await model.close()


def piece(
    index: int | None = 0, *, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    """A piece of a tool call as servers stream it: what it does not have is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    numbered = {"index": index} if index is not None else {}
    return numbered | ({"id": call_id, "type": "function"} if call_id else {}) | {"function": function}


async def read(llm: OpenAiLlm, functions: Functions = FUNCTIONS) -> list[str | FunctionCall]:
    return [got async for got in llm.generate(CHAT, max_tokens=None, temperature=0, functions=functions)]


@pytest.mark.parametrize(
    ("functions", "choice"),
    [
        (FUNCTIONS, "auto"),
        (Functions(FUNCTIONS.offered, "required"), "required"),
        (Functions(FUNCTIONS.offered, "required", only="stop"), {"type": "function", "function": {"name": "stop"}}),
    ],
)
async def test_functions_are_offered_with_the_choice(
    server: OpenAiServer, llm: OpenAiLlm, functions: Functions, choice: object
) -> None:
    assert llm.calls_functions
    await read(llm, functions)
    (request,) = server.requests
    assert request["tool_choice"] == choice
    assert request["tools"] == [
        {
            "type": "function",
            "function": {"name": "get_weather", "description": "Tell the weather.", "parameters": CITY},
        },
        {
            "type": "function",
            "function": {"name": "stop", "description": "", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize("none", [Functions(), Functions(FUNCTIONS.offered, "none")])
async def test_without_functions_nothing_is_said_of_them(server: OpenAiServer, llm: OpenAiLlm, none: Functions) -> None:
    await read(llm, none)
    assert not {"tools", "tool_choice"} & set(server.requests[0])


async def test_calls_and_what_came_of_them_are_sent_with_the_conversation(server: OpenAiServer, llm: OpenAiLlm) -> None:
    stop = FunctionCall("call_2", "stop", "")
    chat = [
        Message("assistant", "", (OSLO, stop)),
        Message("tool", "rain", call_id="call_1"),
        Message("assistant", "It rains.", (OSLO,)),
    ]
    _ = [delta async for delta in llm.generate(chat, max_tokens=None, temperature=0)]
    oslo = {"type": "function", "id": "call_1", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    assert server.requests[0]["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [oslo, {"type": "function", "id": "call_2", "function": {"name": "stop", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It rains.", "tool_calls": [oslo]},
    ]


ROME = FunctionCall("call_2", "get_weather", '{"city": "Rome"}')
STOP = FunctionCall("call_3", "stop", "{}")


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # OpenAI's own, vLLM's: the name first, then the arguments bit by bit.
        (
            [piece(call_id="call_1", name="get_weather", arguments=""), *(piece(arguments=c) for c in OSLO.arguments)],
            [OSLO],
        ),
        # Whole calls, one after the other.
        (
            [
                piece(0, call_id="call_1", name=OSLO.name, arguments=OSLO.arguments),
                piece(1, call_id="call_2", name=ROME.name, arguments=ROME.arguments),
                piece(2, call_id="call_3", name="stop", arguments=""),
            ],
            [OSLO, ROME, STOP],
        ),
        # All of one index, or of none.
        *(
            (
                [
                    piece(index, call_id="call_1", name=OSLO.name, arguments=OSLO.arguments),
                    piece(index, call_id="call_2", name=ROME.name, arguments=ROME.arguments),
                ],
                [OSLO, ROME],
            )
            for index in (0, None)
        ),
        # The name again, and another id, with each bit of the arguments.
        (
            [
                piece(call_id=f"call_{number}", name=OSLO.name, arguments=character)
                for number, character in enumerate(OSLO.arguments, start=1)
            ],
            [OSLO],
        ),
        # The name in two.
        ([piece(call_id="call_1", name="get_"), piece(name="weather"), piece(arguments=OSLO.arguments)], [OSLO]),
        ([piece(call_id="call_3", name="stop")], [STOP]),
        # The index once only.
        (
            [piece(call_id="call_1", name=OSLO.name, arguments='{"city": '), piece(None, arguments='"Oslo"}')],
            [OSLO],
        ),
    ],
)
async def test_calls_are_joined_from_what_the_server_streams(
    server: OpenAiServer, llm: OpenAiLlm, pieces: list[dict[str, Any]], calls: list[FunctionCall]
) -> None:
    server.words, server.calls, server.finish_reason = ["I", " look."], pieces, "tool_calls"
    assert await read(llm) == ["I", " look.", *calls]


async def test_an_answer_that_calls_has_ended_as_others_do_and_its_tokens_are_counted(
    server: OpenAiServer, llm: OpenAiLlm
) -> None:
    server.words, server.finish_reason = ["I", " look."], "tool_calls"
    server.calls = [piece(0, call_id="call_3", name="stop"), piece(1, name="get_weather", arguments="{}")]
    generation = llm.generate(CHAT, max_tokens=None, temperature=0, functions=FUNCTIONS)
    assert [await anext(generation) for _ in range(3)] == ["I", " look.", STOP]
    assert generation.output_tokens == 4, "before the server tells"
    _ = [got async for got in generation]
    assert (generation.input_tokens, generation.output_tokens, generation.finish_reason) == (11, 2, "stop")


async def test_a_call_without_an_id_is_given_one(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.words, server.calls = [], [piece(0, name="stop"), piece(1, name="stop")]
    first, second = [got.call_id for got in await read(llm) if isinstance(got, FunctionCall)]
    assert re.fullmatch(r"call_[0-9a-f]{20}", first)
    assert first != second


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([piece(name="explode", arguments="{}")], "was not offered: 'explode'"),
        ([piece(arguments="{}")], "was not offered: ''"),
        (
            [piece(name="stop", arguments='{"now": ')],
            """cannot be read: its arguments are no JSON object: '{"now": '""",
        ),
        ([piece(name="stop", arguments="[1]")], "no JSON object: '[1]'"),
        ([piece(name="stop", arguments="{" * 10_000)], "no JSON object: '{{{"),
        ([piece(0, name="stop", arguments="true"), piece(1, name="stop")], "no JSON object: 'true'"),
    ],
)
async def test_a_call_that_nobody_can_make_is_rejected(
    server: OpenAiServer, llm: OpenAiLlm, pieces: list[dict[str, Any]], said: str
) -> None:
    server.calls, server.finish_reason = pieces, "tool_calls"
    with pytest.raises(BackendRejectedError, match="the language model called a function") as caught:
        await read(llm)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_half_a_call_of_an_answer_that_is_cut_short_is_dropped(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.words, server.finish_reason = [], "length"
    server.calls = [piece(0, call_id="call_3", name="stop", arguments="{}"), piece(1, name="get_weather")]
    assert await read(llm) == [STOP]
    server.calls[1] = piece(1, name="get_weather", arguments='{"city": "Os')
    assert await read(llm) == [STOP]


async def test_half_a_call_of_an_answer_that_is_lost_is_an_error(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.calls, server.fault = [piece(name="stop")], "cut"
    with pytest.raises(BackendUnavailableError, match="was lost"):
        await read(llm)


async def test_a_server_that_takes_no_functions_is_told_in_its_own_words(server: OpenAiServer, llm: OpenAiLlm) -> None:
    server.fault = "no tools"
    with pytest.raises(
        BackendRejectedError, match="requires --enable-auto-tool-choice and --tool-call-parser to be set"
    ):
        await read(llm)
    assert await read(llm, Functions()) == ["It", " is", " five", "."]


async def test_functions_and_calls_take_room_from_the_answer(server: OpenAiServer, llm: OpenAiLlm) -> None:
    long = Functions((Function("stop", "word " * 4_000),))
    called = Message("assistant", "", (FunctionCall("call_1", "stop", json.dumps({"now": "word " * 4_000})),))
    for chat, functions in ((CHAT, FUNCTIONS), (CHAT, long), ([*CHAT, called], FUNCTIONS)):
        _ = [got async for got in llm.generate(chat, max_tokens=6_000, temperature=0, functions=functions)]
    short, offered, made = (request["max_tokens"] for request in server.requests)
    assert short == 6_000
    assert 2_000 < offered < CONTEXT_TOKENS - 5_000
    assert 2_000 < made < CONTEXT_TOKENS - 5_000
