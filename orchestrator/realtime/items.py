"""Conversation items: the session's own ↔ the Realtime API's."""

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from openai.types.realtime import (
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
)
from openai.types.realtime import realtime_conversation_item_assistant_message as assistant
from openai.types.realtime import realtime_conversation_item_system_message as system
from openai.types.realtime import realtime_conversation_item_user_message as user

from orchestrator.core.history import Item
from orchestrator.errors import InvalidRequestError

Status = Literal["completed", "incomplete", "in_progress"]

# What one event may add to the conversation; more than the models' context could ever hold.
MAX_TEXT_CHARS = 32_768
MAX_ID_CHARS = 64


def item_to_wire(
    item: Item, *, status: Status | None = None, empty: bool = False, transcribed: bool = True
) -> ConversationItem:
    """The item as the API shows it.

    `empty`: without its content, as for an answer that has just begun. Not `transcribed`: without the user's words.
    """
    status = status or ("completed" if item.complete else "incomplete")
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
    """A typed item of the client's. InvalidRequestError where it is none that a conversation here can hold."""
    if not isinstance(
        item,
        RealtimeConversationItemUserMessage
        | RealtimeConversationItemAssistantMessage
        | RealtimeConversationItemSystemMessage,
    ):
        raise InvalidRequestError(
            f"items of type {item.type!r} are not supported: tools and MCP are not; send a message", param="item.type"
        )
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
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidRequestError(
            f"the item's text has {len(text)} characters, {MAX_TEXT_CHARS} are allowed", param="item.content"
        )
    if item.id is not None and not 1 <= len(item.id) <= MAX_ID_CHARS:
        raise InvalidRequestError(f"an id has 1 to {MAX_ID_CHARS} characters", param="item.id")
    return Item(item.id or f"item_{uuid4().hex[:20]}", item.role, text)
