"""Tools of a session or a response become the functions that the model may call, or an error that names the field."""

import json
from typing import Any

import pytest

from orchestrator.config import SessionConfig
from orchestrator.core.functions import NO_FUNCTIONS, Function, Functions
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.config import parse_session, session_to_wire, updated
from orchestrator.realtime.tools import MAX_FUNCTIONS, MAX_TOOLS_BYTES

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER, TIME = Function("get_weather", "The weather in a city", CITY), Function("get_time")
BOTH = SessionConfig(functions=Functions((WEATHER, TIME)))


def tool(name: object = "get_weather", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, **fields}


def only(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


MCP = {"type": "mcp", "server_label": "shop", "server_url": "https://example.com"}


def update(config: SessionConfig | None = None, **session: Any) -> SessionConfig:
    return updated(config or SessionConfig(), parse_session({"type": "realtime", **session}), calls_functions=True)


def refused(config: SessionConfig | None = None, **session: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        update(config, **session)
    return caught.value


def test_function_tools_are_what_the_model_may_call() -> None:
    tools = [tool(description="The weather in a city", parameters=CITY), tool("get_time", parameters=None)]
    config = update(tools=tools)
    assert config.functions == Functions((WEATHER, TIME))
    assert config.without == ()


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_whether_to_call_is_chosen_apart_from_what(choice: str) -> None:
    chosen = update(BOTH, tool_choice=choice)
    assert (chosen.functions.offered, chosen.functions.choice) == ((WEATHER, TIME), choice)
    assert update(chosen, tools=[tool("get_time")]).functions == Functions((TIME,), chosen.functions.choice)


def test_one_function_can_be_chosen_until_it_is_gone_or_another_choice_is_made() -> None:
    chosen = update(BOTH, tool_choice=only("get_time"))
    assert chosen.functions == Functions((WEATHER, TIME), "required", "get_time")
    assert update(chosen, tools=[tool("get_time")]).functions == Functions((TIME,), "required", "get_time")
    assert update(chosen, tools=[tool()]).functions == Functions((Function("get_weather"),))
    assert update(chosen, tool_choice="required").functions == Functions((WEATHER, TIME), "required")
    assert update(tools=[tool()], tool_choice=only("get_weather")).functions.only == "get_weather"


def test_null_changes_nothing_and_an_empty_list_takes_all_away() -> None:
    chosen = update(BOTH, tool_choice="required")
    assert update(chosen, tools=None, tool_choice=None) == chosen
    assert update(chosen, instructions="Be brief.").functions == chosen.functions
    assert update(chosen, tools=[]).functions == Functions((), "required")


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"tools": "get_weather"}, "session.tools"),
        ({"tools": {}}, "session.tools"),
        ({"tools": ["get_weather"]}, "session.tools[0]"),
        ({"tools": [tool("a"), {"type": "function"}]}, "session.tools[1].name"),
        ({"tools": [tool(None)]}, "session.tools[0].name"),
        ({"tools": [tool(7)]}, "session.tools[0].name"),
        ({"tools": [tool("")]}, "session.tools[0].name"),
        ({"tools": [tool("get weather")]}, "session.tools[0].name"),
        ({"tools": [tool("wetter_für")]}, "session.tools[0].name"),
        ({"tools": [tool("a\n")]}, "session.tools[0].name"),
        ({"tools": [tool("x" * 65)]}, "session.tools[0].name"),
        ({"tools": [tool("a"), tool("b"), tool("a")]}, "session.tools[2].name"),
        ({"tools": [tool(description=3)]}, "session.tools[0].description"),
        ({"tools": [tool(parameters=["city"])]}, "session.tools[0].parameters"),
        ({"tools": [tool(parameters={"type": "string"})]}, "session.tools[0].parameters"),
        ({"tools": [tool(parameters={"const": float("nan")})]}, "session.tools"),
        ({"tools": [tool(f"f{number}") for number in range(MAX_FUNCTIONS + 1)]}, "session.tools"),
        ({"tools": [tool(description="ä" * (MAX_TOOLS_BYTES // 2))]}, "session.tools"),
        ({"tools": [{"type": "function", "function": {"name": "get_weather"}}]}, "session.tools[0].function"),
        ({"tool_choice": "of tomorrow"}, "session.tool_choice"),
        ({"tool_choice": 3}, "session.tool_choice"),
        ({"tool_choice": {"type": "of_tomorrow"}}, "session.tool_choice"),
        ({"tool_choice": {"type": "function"}}, "session.tool_choice.name"),
        ({"tool_choice": only("get_weather")}, "session.tool_choice.name"),
        ({"tools": [tool()], "tool_choice": only("get_time")}, "session.tool_choice.name"),
    ],
)
def test_what_is_wrong_is_refused_by_name(session: dict[str, Any], param: str) -> None:
    error = refused(**session)
    assert error.param == param
    assert param in str(error)


def test_as_many_and_as_much_as_is_allowed_is_taken() -> None:
    assert len(update(tools=[tool(f"f{number}") for number in range(MAX_FUNCTIONS)]).functions.offered) == MAX_FUNCTIONS
    description = "x" * (MAX_TOOLS_BYTES - len(json.dumps([tool(description="")], separators=(",", ":"))))
    assert update(tools=[tool("x" * 64)]).functions.names == {"x" * 64}
    assert update(tools=[tool(description=description)]).functions
    assert refused(tools=[tool(description=description + "x")]).param == "session.tools"


@pytest.mark.parametrize("other", [MCP, {"type": "of_tomorrow", "name": 3}])
def test_of_other_tools_the_session_goes_without_and_keeps_its_functions(other: dict[str, Any]) -> None:
    config = update(tools=[other, tool("get_time")], instructions="Be brief.")
    assert (config.functions, config.without) == (Functions((TIME,)), ("session_mcp",))
    assert config.instructions == "Be brief."
    assert update(config, instructions="Be kind.").without == ()


def test_a_choice_of_mcps_is_left_to_the_model() -> None:
    config = update(BOTH, tool_choice={"type": "mcp", "server_label": "shop"})
    assert (config.functions, config.without) == (BOTH.functions, ("session_mcp",))


def test_where_the_model_calls_nothing_the_session_goes_without_whatever_it_asks_for() -> None:
    for tools in ([tool()], [MCP], ["nonsense"], "nonsense"):
        session = parse_session(
            {"type": "realtime", "tools": tools, "tool_choice": "of tomorrow", "instructions": "Hi"}
        )
        config = updated(SessionConfig(), session, calls_functions=False)
        assert (config.functions, config.without, config.instructions) == (NO_FUNCTIONS, ("session_functions",), "Hi")
    for nothing in ({"tools": []}, {"tools": None}, {"tool_choice": "auto"}):
        session = parse_session({"type": "realtime", **nothing})
        assert updated(SessionConfig(), session, calls_functions=False).without == ()


@pytest.mark.parametrize(
    ("functions", "tool_choice"),
    [
        (Functions((WEATHER, TIME)), "auto"),
        (Functions((WEATHER,), "none"), "none"),
        (Functions((WEATHER, TIME), "required", "get_time"), {"type": "function", "name": "get_time"}),
    ],
)
def test_what_is_shown_is_what_was_set_and_can_be_sent_back(functions: Functions, tool_choice: object) -> None:
    config = SessionConfig(functions=functions)
    shown = json.loads(session_to_wire(config, "rtc_1").model_dump_json(exclude_unset=True))
    assert shown["tool_choice"] == tool_choice
    assert shown["tools"][0] == tool(description="The weather in a city", parameters=CITY)
    assert len(shown["tools"]) == len(functions.offered)
    assert update(**shown) == config
