"""`tools` and `tool_choice` of a session or a response ↔ the functions that the language model may call."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openai.types.realtime import RealtimeFunctionTool, RealtimeToolChoiceConfig
from openai.types.responses.tool_choice_function import ToolChoiceFunction

from orchestrator.core.functions import Function, Functions
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.validation import validated

MAX_FUNCTIONS = 128
# Of all of them as JSON: what is looked at. How many tokens a prompt may have of them is Recollection's to say.
MAX_TOOLS_BYTES = 32 * 1024
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
NAME_RULE = "a function's name has 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a client's `tools` and `tool_choice` come to; `others`: it asked for tools that are no functions."""

    functions: Functions
    others: bool


def chosen(current: Functions, tools: Any, tool_choice: Any, *, inside: str) -> Chosen:
    """`current` with the fields that are given; None changes nothing. InvalidRequestError names the wrong one.

    `inside`: where the fields are within the client's message. A function that is to be called and is not offered any
    more leaves the choice to the model.
    """
    functions, others = current, False
    if tools is not None:
        offered = _offered(tools, f"{inside}.tools")
        functions, others = replace(functions, offered=offered), len(offered) < len(tools)
    if tool_choice is not None:
        functions, mcp = _choose(functions, tool_choice, f"{inside}.tool_choice")
        others = others or mcp
    if functions.only is not None and functions.only not in functions.names:
        functions = replace(functions, choice="auto", only=None)
    return Chosen(functions, others)


def tools_to_wire(functions: Functions) -> list[RealtimeFunctionTool]:
    """What is offered, as the API shows it."""
    return [
        RealtimeFunctionTool(type="function", name=each.name, description=each.description, parameters=each.parameters)
        for each in functions.offered
    ]


def choice_to_wire(functions: Functions) -> RealtimeToolChoiceConfig:
    """The choice, as the API shows it."""
    if functions.only is not None:
        return ToolChoiceFunction(type="function", name=functions.only)
    return functions.choice


def checked_name(name: str | None, param: str) -> str:
    """A function's name."""
    if name is None:
        raise InvalidRequestError(f"the field {param!r} is missing", param=param)
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(f"{param!r} is {name[:80]!r}: {NAME_RULE}", param=param)
    return name


def _offered(tools: Any, where: str) -> tuple[Function, ...]:
    """The functions among the tools."""
    if not isinstance(tools, list):
        raise InvalidRequestError(f"{where!r} must be an array", param=where)
    if len(tools) > MAX_FUNCTIONS:
        raise InvalidRequestError(f"{where!r} has {len(tools)} tools, {MAX_FUNCTIONS} are allowed", param=where)
    _check_size(tools, where)
    offered: dict[str, Function] = {}
    for index, tool in enumerate(tools):
        function = _function(tool, f"{where}[{index}]")
        if function is None:
            continue
        if function.name in offered:
            param = f"{where}[{index}].name"
            raise InvalidRequestError(f"{param!r} is {function.name!r}, as another function's name is", param=param)
        offered[function.name] = function
    return tuple(offered.values())


def _check_size(tools: Sequence[Any], where: str) -> None:
    try:
        size = len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        raise InvalidRequestError(f"{where!r} has a number that JSON has not: {error}", param=where) from error
    if size > MAX_TOOLS_BYTES:
        raise InvalidRequestError(
            f"{where!r} has {size} bytes, {MAX_TOOLS_BYTES} are allowed: shorten the descriptions and parameters",
            param=where,
        )


def _function(tool: Any, where: str) -> Function | None:
    """The tool as a function; None where it is of another type."""
    if not isinstance(tool, Mapping):
        raise InvalidRequestError(f"{where!r} must be an object", param=where)
    if tool.get("type") not in ("function", None):
        return None
    if "name" not in tool and isinstance(tool.get("function"), Mapping):
        raise InvalidRequestError(
            f"'{where}.function' is the form of chat completions: put the function's name, description and parameters "
            f"beside its type",
            param=f"{where}.function",
        )
    given = validated(RealtimeFunctionTool, tool, inside=where)
    name = checked_name(given.name, f"{where}.name")
    parameters = {} if given.parameters is None else given.parameters
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise InvalidRequestError(
            f"'{where}.parameters' must be a JSON Schema whose type is \"object\"", param=f"{where}.parameters"
        )
    return Function(name, given.description or "", parameters)


def _choose(functions: Functions, choice: Any, where: str) -> tuple[Functions, bool]:
    """`functions` with that choice, and whether it is one of MCP's."""
    if choice in ("auto", "none", "required"):
        return replace(functions, choice=choice, only=None), False
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind == "mcp":
        return replace(functions, choice="auto", only=None), True
    if kind != "function":
        raise InvalidRequestError(
            f'{where!r} must be "auto", "none", "required" or {{"type": "function", "name": …}}', param=where
        )
    name = validated(ToolChoiceFunction, choice, inside=where).name
    if name not in functions.names:
        known = ", ".join(sorted(functions.names)) or "none"
        raise InvalidRequestError(
            f"'{where}.name' is {name[:80]!r}, which is not among the functions: {known}", param=f"{where}.name"
        )
    return replace(functions, choice="required", only=name), False
