"""Reads function calls out of what a language model writes: Hermes' format, which Qwen's models write as well.

A call is the JSON object {"name": …, "arguments": {…}} between `<tool_call>` and `</tool_call>`; any text may come
before it. (https://github.com/NousResearch/Hermes-Function-Calling, the chat template of Qwen2.5.)
"""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from orchestrator.core.functions import FunctionCall, Functions

OPENING, CLOSING = "<tool_call>", "</tool_call>"


def beginning(functions: Functions) -> str:
    """How an answer has to begin, that it be a call: "" where the model is free not to call.

    It ends where a token does, as models are used to write it: the space behind a colon belongs to what follows.
    """
    if functions.only is not None:
        return f'{OPENING}\n{{"name": {json.dumps(functions.only)}, "arguments":'
    return f'{OPENING}\n{{"name": "' if functions.choice == "required" else ""


def read_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` is. ValueError where it is none; NaN and infinities are not JSON."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


class CallReader:
    """Takes the model's text as it comes; returns what is to be said of it, and each call once it is complete.

    White space before the first word, and between a call and what follows, is nothing to be said. `new_id` names calls.
    ValueError says what is wrong with one that cannot be read.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._unread = ""
        self._silent = True  # since the beginning, or the last call

    def push(self, text: str) -> list[str | FunctionCall]:
        """More text."""
        self._unread += text
        read: list[str | FunctionCall] = []
        while OPENING in self._unread:
            before, _, rest = self._unread.partition(OPENING)
            read += self._said(before)
            call, after = self._closed_call(rest)
            if call is None:
                self._unread = OPENING + rest
                return read
            read.append(call)
            self._unread = after
        kept = _begun(self._unread)
        read += self._said(self._unread[: len(self._unread) - kept])
        self._unread = self._unread[len(self._unread) - kept :]
        return read

    def finish(self, *, cut_short: bool = False) -> list[str | FunctionCall]:
        """The text is complete. Models may leave out the end of their last call; `cut_short`: it may be only a part."""
        unread, self._unread = self._unread, ""
        if not unread.startswith(OPENING):
            return self._said(unread)
        body = unread.removeprefix(OPENING)
        try:
            return [self._call(body)]
        except ValueError:
            return [] if cut_short else [self._call(body.partition(CLOSING)[0])]

    def _closed_call(self, rest: str) -> tuple[FunctionCall | None, str]:
        """The call that `rest` begins with, and what follows it; None where it has not ended yet."""
        end = rest.find(CLOSING)
        while end >= 0:
            try:
                return self._call(rest[:end]), rest[end + len(CLOSING) :]
            except ValueError:
                end = rest.find(CLOSING, end + 1)  # an argument may have the mark in it
        return None, rest

    def _said(self, text: str) -> list[str | FunctionCall]:
        if self._silent:
            text = text.lstrip()
        self._silent = self._silent and not text
        return [text] if text else []

    def _call(self, body: str) -> FunctionCall:
        self._silent = True
        shown = repr(body.strip()[:200])
        try:
            call = read_object(body)
        except ValueError as error:
            raise ValueError(f"it is no JSON object: {shown}") from error
        if not isinstance(call.get("name"), str):
            raise ValueError(f"it names no function: {shown}")
        arguments = call.get("arguments", {})
        if not isinstance(arguments, dict):
            raise ValueError(f"its arguments are no object: {shown}")
        return FunctionCall(self._new_id(), call["name"], write_object(arguments))


def write_object(value: dict[str, Any]) -> str:
    """`value` as JSON. Half of a surrogate pair, which no encoding of text has, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number} is no number of JSON's")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _begun(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of a call."""
    return next((n for n in range(min(len(text), len(OPENING) - 1), 0, -1) if OPENING.startswith(text[-n:])), 0)
