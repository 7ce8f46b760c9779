"""Chat messages as language models' templates take them: Hugging Face's dictionaries, free of control tokens.

https://huggingface.co/docs/transformers/chat_extras
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.core.call_reader import read_object, write_object
from orchestrator.core.functions import FunctionCall, Functions
from orchestrator.core.history import Message

Clean = Callable[[str], str]


def cleaner(controls: re.Pattern[str]) -> Clean:
    """Takes what `controls` finds out of a text, leaving a space in place of each."""

    def clean(text: str) -> str:
        while controls.search(text):  # again until there is none: removing one could join another out of its neighbours
            text = controls.sub(" ", text)
        return text

    return clean


def cleaned(messages: Sequence[Message], clean: Clean) -> list[Message]:
    """The messages without control tokens, the arguments of their calls among them, which are JSON written anew."""
    return [
        replace(
            message,
            content=clean(message.content),
            calls=tuple(
                FunctionCall(clean(call.call_id), clean(call.name), _cleaned_arguments(call.arguments, clean))
                for call in message.calls
            ),
            call_id=clean(message.call_id) if message.call_id is not None else None,
        )
        for message in messages
    ]


def tools(functions: Functions, clean: Clean) -> list[dict[str, Any]] | None:
    """Those that the model may call, without control tokens. None where there are none."""
    offered = [each for each in functions.offered if functions.only in (None, each.name)] if functions else []
    return [_cleaned_value(each.as_tool(), clean) for each in offered] or None


def texts(message: Message) -> list[str]:
    """All that a template writes of it beside its own marks."""
    return [message.content, *(text for call in message.calls for text in (call.name, call.arguments))]


def as_dictionaries(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """For templates that know calls and what comes of them."""
    names = _names(messages)
    return [_as_dictionary(message, names) for message in messages]


def as_text(messages: Sequence[Message]) -> list[Message]:
    """Calls, and what came of them, as words: for templates that know system, user and assistant only."""
    names = _names(messages)
    return [_in_words(message, names) for message in messages]


def alternating(messages: Sequence[Message]) -> list[Message]:
    """Messages that follow one of the same role, joined with it. What came of a call stays by itself."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role != "tool":
            content = "\n".join(text for text in (joined[-1].content, message.content) if text)
            joined[-1] = Message(message.role, content, (*joined[-1].calls, *message.calls))
        else:
            joined.append(message)
    return joined


def _cleaned_arguments(arguments: str, clean: Clean) -> str:
    # As an object first: JSON can write any character in another way, which the template writes out.
    try:
        return write_object(_cleaned_value(read_object(arguments), clean))
    except (ValueError, RecursionError):
        return clean(arguments)


def _cleaned_value(value: Any, clean: Clean) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _cleaned_value(each, clean) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned_value(each, clean) for each in value]
    return value


def _names(messages: Sequence[Message]) -> dict[str, str]:
    """The functions that were called, by the calls' ids."""
    return {call.call_id: call.name for message in messages for call in message.calls}


def _as_dictionary(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        made["tool_calls"] = [
            {
                "type": "function",
                "id": call.call_id,
                "function": {"name": call.name, "arguments": _object_or_text(call.arguments)},
            }
            for call in message.calls
        ]
    if message.role == "tool":
        call_id = message.call_id or ""
        made |= {"tool_call_id": call_id, "name": names.get(call_id, "")}
    return made


def _object_or_text(arguments: str) -> dict[str, Any] | str:
    try:
        return read_object(arguments)
    except ValueError:
        return arguments


def _in_words(message: Message, names: Mapping[str, str]) -> Message:
    if message.role == "tool":
        name = names.get(message.call_id or "", "a function")
        return Message("user", f"[{name} returned: {message.content}]")
    if message.calls:
        called = [f"[{call.name} was called with {call.arguments}]" for call in message.calls]
        return Message("assistant", "\n".join([text for text in (message.content, *called) if text]))
    return message
