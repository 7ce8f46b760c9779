"""Function calls as OpenAI's chat completions have them: offered as tools, streamed in pieces, kept in messages."""

import uuid
from collections.abc import Sequence
from typing import cast

from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolUnionParam,
)
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

from orchestrator.core.call_reader import read_object
from orchestrator.core.functions import FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.errors import BackendRejectedError


def tools(functions: Functions) -> Sequence[ChatCompletionToolUnionParam]:
    """What the model may call."""
    return [cast(ChatCompletionToolUnionParam, each.as_tool()) for each in functions.offered]


def tool_choice(functions: Functions) -> ChatCompletionToolChoiceOptionParam:
    """Whether it is to call, and what."""
    if functions.only is not None:
        return {"type": "function", "function": {"name": functions.only}}
    return functions.choice


def as_openai(message: Message) -> ChatCompletionMessageParam:
    """The message with the calls made in it, or as what came of one."""
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "user":
            return {"role": "user", "content": message.content}
        case "tool":
            return {"role": "tool", "content": message.content, "tool_call_id": message.call_id or ""}
        case "assistant" if message.calls:
            return {
                "role": "assistant",
                "content": message.content or None,
                "tool_calls": [
                    {
                        "type": "function",
                        "id": call.call_id,
                        "function": {"name": call.name, "arguments": call.arguments or "{}"},
                    }
                    for call in message.calls
                ],
            }
        case "assistant":
            return {"role": "assistant", "content": message.content}


class CallAssembler:
    """Joins the pieces of calls that a server streams; returns each call once it is complete.

    Raises BackendRejectedError for calls that cannot be read, or are of no function that was offered.
    """

    def __init__(self, functions: Functions) -> None:
        self._offered = functions.names if functions else frozenset()
        self._index: int | None = None
        self._id = self._name = self._arguments = ""

    def push(self, piece: ChoiceDeltaToolCall) -> list[FunctionCall]:
        """The next piece: of the same call, or of the next one."""
        name = (piece.function.name if piece.function else None) or ""
        arguments = (piece.function.arguments if piece.function else None) or ""
        complete = self._complete() if self._begins_another(piece.index, name, arguments) else []
        self._index = self._index if piece.index is None else piece.index
        self._id = self._id or piece.id or ""
        if name != self._name:  # some repeat it in every piece
            self._name += name
        self._arguments += arguments
        return complete

    def finish(self, *, cut_short: bool) -> list[FunctionCall]:
        """The answer is complete; `cut_short`: its last call may be only a part."""
        if cut_short and not _is_object(self._arguments):
            return []
        return self._complete()

    def _begins_another(self, index: int | None, name: str, arguments: str) -> bool:
        if index is not None and index != self._index:
            return True
        # Some do not count them: all are of one index, and whole.
        return bool(name and arguments.strip() and _is_object(self._arguments))

    def _complete(self) -> list[FunctionCall]:
        call = FunctionCall(self._id or f"call_{uuid.uuid4().hex[:20]}", self._name, self._arguments or "{}")
        begun = self._name or self._arguments
        self._id = self._name = self._arguments = ""
        if not begun:
            return []
        if call.name not in self._offered:
            raise BackendRejectedError(f"the language model called a function that it was not offered: {call.name!r}")
        if not _is_object(call.arguments):
            raise BackendRejectedError(
                "the language model called a function in a way that cannot be read: "
                f"its arguments are no JSON object: {call.arguments[:200]!r}"
            )
        return [call]


def _is_object(arguments: str) -> bool:
    try:
        read_object(arguments)
    except ValueError:
        return False
    return True
