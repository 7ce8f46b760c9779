"""Conversation items: the session's own ↔ the Realtime API's."""

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from openai.types.realtime import (
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
)
from openai.types.realtime import realtime_conversation_item_assistant_message as assistant
from openai.types.realtime import realtime_conversation_item_system_message as system
from openai.types.realtime import realtime_conversation_item_user_message as user

from orchestrator.core.history import Item
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.tools import checked_name
from orchestrator.realtime.validation import parse_json

Status = Literal["completed", "incomplete", "in_progress"]
_Message = (
    RealtimeConversationItemUserMessage
    | RealtimeConversationItemAssistantMessage
    | RealtimeConversationItemSystemMessage
)

# What one event may add to the conversation; more than the models' context could ever hold.
MAX_TEXT_CHARS = 32_768
MAX_ID_CHARS = 64


def item_to_wire(
    item: Item, *, status: Status | None = None, empty: bool = False, transcribed: bool = True
) -> ConversationItem:
    """The item as the API shows it.

    `empty`: without its content or its arguments, as for an answer or a call that has just begun. Not `transcribed`:
    without the user's words.
    """
    status = status or ("completed" if item.complete else "incomplete")
    if item.call_id is not None:
        return _call_to_wire(item, item.call_id, status, empty=empty)
    if item.role == "assistant":
        spoken = item.modality == "audio"
        content = (
            assistant.Content(type="output_audio", transcript=item.text)
            if spoken
            else assistant.Content(type="output_text", text=item.text)
        )
        return RealtimeConversationItemAssistantMessage(
            id=item.id,
            object="realtime.item",
            type="message",
            status=status,
            role="assistant",
            content=[] if empty else [content],
        )
    if item.role == "user":
        said = (
            user.Content(type="input_audio", transcript=item.text if transcribed else None)
            if item.modality == "audio"
            else user.Content(type="input_text", text=item.text)
        )
        return RealtimeConversationItemUserMessage(
            id=item.id, object="realtime.item", type="message", status=status, role="user", content=[said]
        )
    return RealtimeConversationItemSystemMessage(
        id=item.id,
        object="realtime.item",
        type="message",
        status=status,
        role="system",
        content=[system.Content(type="input_text", text=item.text)],
    )


def item_from_wire(item: ConversationItem) -> Item:
    """An item of the client's. InvalidRequestError where it is none that a conversation here can hold."""
    if item.id is not None:
        _check_id(item.id, "item.id")
    item_id = item.id or f"item_{uuid4().hex[:20]}"
    if isinstance(item, RealtimeConversationItemFunctionCall):
        return _call_from_wire(item, item_id)
    if isinstance(item, RealtimeConversationItemFunctionCallOutput):
        # Its call's id is the model's server's, however long; one that no call has is refused.
        _check_length(item.output, "item.output")
        return Item(item_id, "tool", item.output, call_id=item.call_id)
    if isinstance(item, _Message):
        return Item(item_id, item.role, _text(item))
    raise InvalidRequestError(
        f"items of type {item.type!r} are not supported: send a message, a function_call or a function_call_output",
        param="item.type",
    )


def _call_to_wire(item: Item, call_id: str, status: Status, *, empty: bool) -> ConversationItem:
    if item.role == "tool":
        return RealtimeConversationItemFunctionCallOutput(
            id=item.id,
            object="realtime.item",
            type="function_call_output",
            status=status,
            call_id=call_id,
            output=item.text,
        )
    return RealtimeConversationItemFunctionCall(
        id=item.id,
        object="realtime.item",
        type="function_call",
        status=status,
        call_id=call_id,
        name=item.function,
        arguments="" if empty else item.text,
    )


def _call_from_wire(item: RealtimeConversationItemFunctionCall, item_id: str) -> Item:
    """A call that was made elsewhere, as where a conversation is continued."""
    name = checked_name(item.name, "item.name")
    if item.call_id is not None:
        _check_id(item.call_id, "item.call_id")
    _check_length(item.arguments, "item.arguments")
    arguments = item.arguments or "{}"  # as some clients have it where there are none
    try:
        parse_json(arguments, "'item.arguments'", "item", "arguments")
    except InvalidRequestError as error:
        raise InvalidRequestError(str(error), param="item.arguments") from error
    call_id = item.call_id or f"call_{uuid4().hex[:20]}"
    return Item(item_id, "assistant", arguments, call_id=call_id, function=name)


def _text(item: _Message) -> str:
    expected = "output_text" if item.role == "assistant" else "input_text"
    parts: Sequence[assistant.Content | user.Content | system.Content] = item.content
    texts: list[str] = []
    for index, part in enumerate(parts):
        # The API takes a part without a type.
        if part.type not in (expected, None) or part.text is None:
            raise InvalidRequestError(
                f"a message of the {item.role} takes parts of type {expected!r} with a text, not {part.type!r}: "
                "sound and images cannot be added as items",
                param=f"item.content[{index}]",
            )
        texts.append(part.text)
    text = "\n".join(texts)
    if not text.strip():
        raise InvalidRequestError("the item has no text", param="item.content")
    _check_length(text, "item.content")
    return text


def _check_length(text: str, param: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidRequestError(f"{param!r} has {len(text)} characters, {MAX_TEXT_CHARS} are allowed", param=param)


def _check_id(value: str, param: str) -> None:
    if not 1 <= len(value) <= MAX_ID_CHARS:
        raise InvalidRequestError(f"{param!r} must have 1 to {MAX_ID_CHARS} characters", param=param)
