"""A client's tools, its calls and their outputs act on a session, as far as its language model calls functions."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator.core.functions import Function, Functions
from tests.realtime.conversing import Conversation, conversing, message

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
WEATHER, TIME = Function("weather", parameters={"type": "object", "properties": {}}), Function("time")
MCP = {"type": "mcp", "server_label": "shop", "server_url": "https://example.com"}


@pytest.fixture
async def talk() -> AsyncIterator[Conversation]:
    async with conversing() as conversation:
        yield conversation


@pytest.fixture
async def calling() -> AsyncIterator[Conversation]:
    async with conversing(calls_functions=True) as conversation:
        yield conversation


async def test_where_the_model_calls_nothing_a_session_with_tools_is_updated_and_the_client_told(
    talk: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "orchestrator.realtime")
    session = {"type": "realtime", "instructions": "Be brief.", "tools": [TOOL], "tool_choice": "auto"}
    updated, notice = talk.send("session.update", session=session)
    assert (updated["type"], updated["session"]["tools"]) == ("session.updated", [])
    assert talk.session.config.instructions == "Be brief."
    assert (notice["type"], notice["param"]) == ("goassist.notice", "session.tools")
    assert "LLM_TEMPLATE" in notice["message"]
    assert "LLM_BASE_URL" in notice["message"]
    assert [record.__dict__["param"] for record in caplog.records] == ["session.tools"]
    assert len(talk.send("session.update", session={"type": "realtime", "instructions": "Be kind."})) == 1


@pytest.mark.parametrize("tools", [[TOOL], [MCP], [{"type": "of_tomorrow"}]])
async def test_where_the_model_calls_nothing_a_response_with_tools_is_made_and_the_client_told(
    talk: Conversation, tools: list[dict[str, Any]]
) -> None:
    talk.send("conversation.item.create", item=message("Hello"))
    sent = talk.send("response.create", response={"tools": tools, "tool_choice": "required"})
    assert [event["param"] for event in sent if event["type"] == "goassist.notice"] == ["response.tools"]
    assert not [event for event in sent if event["type"] == "error"]
    assert talk.session.state.value == "thinking"


async def test_a_session_has_the_functions_that_it_is_given(calling: Conversation) -> None:
    session = {"type": "realtime", "tools": [TOOL], "tool_choice": "required"}
    (updated,) = calling.send("session.update", session=session)
    assert updated["session"]["tools"] == [{**TOOL, "description": ""}]
    assert updated["session"]["tool_choice"] == "required"
    assert calling.session.config.functions == Functions((WEATHER,), "required")
    wrong = {**session, "tools": [], "tool_choice": {"type": "function", "name": "weather"}}
    assert calling.refused("session.update", session=wrong)["param"] == "session.tool_choice.name"
    assert calling.session.config.functions == Functions((WEATHER,), "required")
    updated, notice = calling.send("session.update", session={**session, "tools": [TOOL, MCP]})
    assert [tool["name"] for tool in updated["session"]["tools"]] == ["weather"]
    assert (notice["type"], notice["param"]) == ("goassist.notice", "session.tools")
    assert "MCP" in notice["message"]


@pytest.mark.parametrize(
    ("response", "functions"),
    [
        ({}, Functions((WEATHER,))),
        ({"tools": None, "tool_choice": None}, Functions((WEATHER,))),
        ({"tool_choice": "none"}, Functions((WEATHER,), "none")),
        ({"tool_choice": {"type": "function", "name": "weather"}}, Functions((WEATHER,), "required", "weather")),
        ({"tools": [{"type": "function", "name": "time"}]}, Functions((TIME,))),
        ({"tools": []}, Functions()),
    ],
)
async def test_a_response_has_functions_of_its_own_or_the_sessions(
    calling: Conversation, response: dict[str, Any], functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {}
    calling.send("session.update", session={"type": "realtime", "tools": [TOOL]})
    monkeypatch.setattr(calling.session, "request_response", lambda **fields: wanted.update(fields))
    assert calling.send("response.create", response=response) == []
    assert wanted["config"].functions == functions
    assert calling.session.config.functions == Functions((WEATHER,))


async def test_a_response_with_mcp_tools_is_made_with_the_functions_among_them(calling: Conversation) -> None:
    calling.send("conversation.item.create", item=message("Hello"))
    sent = calling.send("response.create", response={"tools": [MCP, TOOL]})
    assert [event["param"] for event in sent if event["type"] == "goassist.notice"] == ["response.tools"]
    assert calling.session.state.value == "thinking"


async def test_calls_and_outputs_are_added_shown_and_deleted(calling: Conversation) -> None:
    call = {"type": "function_call", "id": "one", "call_id": "c", "name": "weather", "arguments": "{}"}
    added, done = calling.send("conversation.item.create", item=call)
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    output = {"type": "function_call_output", "id": "two", "call_id": "c", "output": ""}
    calling.send("conversation.item.create", item=output)
    (retrieved,) = calling.send("conversation.item.retrieve", item_id="two")
    assert retrieved["item"] == {**output, "object": "realtime.item", "status": "completed"}
    assert calling.refused("conversation.item.create", item={**output, "id": "three", "call_id": "d"})
    assert calling.refused("conversation.item.truncate", item_id="one", content_index=0, audio_end_ms=5)
    (deleted,) = calling.send("conversation.item.delete", item_id="one")
    assert deleted["item_id"] == "one"
    assert [item.id for item in calling.session.history] == ["two"]


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"tools": [{"type": "function", "name": "a b"}]}, "response.tools[0].name"),
        ({"tool_choice": "of tomorrow"}, "response.tool_choice"),
        ({"tool_choice": {"type": "function", "name": "time"}}, "response.tool_choice.name"),
    ],
)
async def test_a_response_with_functions_that_cannot_be_is_refused(
    calling: Conversation, response: dict[str, Any], param: str
) -> None:
    calling.send("session.update", session={"type": "realtime", "tools": [TOOL]})
    assert calling.refused("response.create", response=response)["param"] == param
