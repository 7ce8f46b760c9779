"""Chat messages rendered as the one text that a language model completes.

Triton's vLLM backend applies no chat template, so the model's own is applied here: the Jinja2 template that comes with
its tokenizer, or ChatML (Qwen's format) without one. What people say, and what functions return, is data: it cannot
contain a control token.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Protocol

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.core.call_reader import CLOSING, OPENING, read_object
from orchestrator.core.functions import NO_FUNCTIONS, Function, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.errors import ConfigurationError, InvalidRequestError
from orchestrator.triton import messages as chat

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MESSAGE_TOKENS = 8
"""What a template adds to a message: its role and the marks around it (ChatML 5, Llama 3's 5)."""
CALL_TOKENS = 16
"""What it adds to a call beside its name and arguments, and to what came of one (Qwen2.5 15 and 5)."""
TOOLS_TOKENS = 200
"""What it says about functions in general (Qwen2.5 90, Hermes 2 Pro 180), and how an answer begins that has to call."""
CHARACTERS_PER_TOKEN = 4
"""The estimate without a tokenizer; English text has a little more.

Of the characters that ASCII lacks each counts as a token: a little too many for Chinese, twice too many for Russian,
about right for languages of Latin letters and accents.
"""
_CONTROL_TOKEN = r"<\|[A-Za-z0-9_]{1,64}\|>"
# Qwen's and Hermes' marks are no control tokens to their tokenizers.
_CALL_MARKS = (OPENING, CLOSING, "<tool_response>", "</tool_response>")
# What a template raises, by itself or where it meets what it was not written for.
_REFUSALS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_TRIAL = (Message("system", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d"))

_TRIAL_FUNCTION = Function("f", "A description that no template has.", {"type": "object", "properties": {"a": {}}})


class Tokenizer(Protocol):
    """What is used of tokenizers.Tokenizer."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> Any: ...


class ChatTemplate:
    """Renders chat messages and counts tokens.

    `special_tokens`: the names that the template uses (bos_token …) and their texts. `control_tokens`: further texts
    that may not come from a message. `tokenizer`: without one, token counts are estimates.
    """

    def __init__(
        self,
        source: str = CHATML,
        *,
        special_tokens: Mapping[str, str] | None = None,
        control_tokens: Sequence[str] = (),
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self._special_tokens = dict(special_tokens or {})
        self._tokenizer = tokenizer
        self._counted = lru_cache(4096)(self.count_tokens)  # a conversation's messages come again with every turn
        try:
            self._template = _environment().from_string(source)
            self._render(chat.as_dictionaries(_TRIAL), None)
        except _REFUSALS as error:
            raise ConfigurationError(f"the chat template cannot render a conversation: {error}") from error
        self._knows_calls = "tool_calls" in source
        self._writes_calls = self._knows_calls and self._shows_calls()
        self._marks_are_special = OPENING in control_tokens
        marks = _CALL_MARKS if self._writes_calls else ()
        controls = {token for token in (*control_tokens, *self._special_tokens.values(), *marks) if token.strip()}
        self._clean = chat.cleaner(
            re.compile("|".join([*map(re.escape, sorted(controls, key=len, reverse=True)), _CONTROL_TOKEN]))
        )

    @classmethod
    def from_directory(cls, folder: Path) -> "ChatTemplate":
        """The template and tokenizer of a model as Hugging Face's hub has them.

        Reads tokenizer_config.json, chat_template.jinja (where the template is not in the former) and tokenizer.json,
        which needs the package `tokenizers`. Raises ConfigurationError where one is missing or broken.
        """
        config = _json(folder / "tokenizer_config.json")
        rules = _json(folder / "tokenizer.json")
        return cls(
            _template_source(folder, config),
            special_tokens={
                name: text
                for name, value in config.items()
                if name.endswith("_token") and (text := _token_text(value)) is not None
            },
            control_tokens=[token["content"] for token in rules.get("added_tokens", []) if token.get("special")],
            tokenizer=_load_tokenizer(folder / "tokenizer.json"),
        )

    @property
    def counts_exactly(self) -> bool:
        """Whether `count_tokens` uses the model's tokenizer; otherwise it estimates."""
        return self._tokenizer is not None

    @property
    def calls_functions(self) -> bool:
        """Whether the template tells the model of functions, and has it write calls as core.call_reader reads them."""
        return self._writes_calls

    @property
    def marks_are_special(self) -> bool:
        """Whether the marks of a call are special tokens, which a model's server leaves out of its text by itself."""
        return self._marks_are_special

    def render(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, functions: Functions = NO_FUNCTIONS
    ) -> str:
        """The prompt that the model is to complete with the assistant's next message, in which it may call `functions`.

        Where it would be longer than `max_tokens`, the oldest messages behind the instructions are left out. Raises
        InvalidRequestError where not even the last one fits, and where the template refuses the messages.
        """
        cleaned: Sequence[Message] = chat.cleaned(messages, self._clean)
        if max_tokens is not None:
            cleaned = self._within(cleaned, max_tokens, self.count_functions(functions))
        tools = chat.tools(functions, self._clean)
        for form in self._forms(cleaned):
            try:
                return self._render(chat.as_dictionaries(form), tools)
            except _REFUSALS as error:
                refusal = error
        raise InvalidRequestError(f"the model's chat template refuses this conversation: {refusal}") from refusal

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` has; see `counts_exactly`."""
        if self._tokenizer is None:
            ascii_characters = len(text) if text.isascii() else sum(map(str.isascii, text))
            return math.ceil(ascii_characters / CHARACTERS_PER_TOKEN) + len(text) - ascii_characters
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def count_messages(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages have in a prompt, the marks between them and around their calls included."""
        return sum(_cost(message, self._counted) for message in messages)

    def count_functions(self, functions: Functions) -> int:
        """How many tokens a prompt has more where the model may call these."""
        tools = chat.tools(functions, self._clean)
        return TOOLS_TOKENS + self._counted(json.dumps(tools, ensure_ascii=False)) if tools else 0

    def _within(self, messages: Sequence[Message], max_tokens: int, functions_tokens: int) -> Sequence[Message]:
        if sum(_cost(message, _bytes) for message in messages) + functions_tokens <= max_tokens:
            return messages  # a token is a byte at least: there is nothing to count
        costs = [_cost(message, self._counted) for message in messages]
        excess = sum(costs) + functions_tokens - max_tokens
        if excess <= 0:
            return messages
        pinned = next((n for n, message in enumerate(messages) if message.role != "system"), len(messages))
        kept = max(pinned, _last_step(messages))
        asked = max((n for n, message in enumerate(messages[: kept + 1]) if message.role == "user"), default=kept)
        # By quarters, so that the next turns' prompts begin alike, which vLLM's prefix cache makes free.
        quarter = max(1, max_tokens // 4)
        wanted, left_out, first = -(-excess // quarter) * quarter, 0, pinned
        while first < kept and (
            left_out < (wanted if first < asked else excess) or messages[first].role in ("assistant", "tool")
        ):
            left_out += costs[first]
            first += 1
        if left_out < excess:
            parts = "the instructions, the functions" if functions_tokens else "the instructions"
            raise InvalidRequestError(
                f"{parts} and the last message have {max_tokens + excess - left_out} tokens, "
                f"{max_tokens} are the most that the language model is given"
            )
        return [*messages[:pinned], *messages[first:]]

    def _forms(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """The conversation in ways of which templates take one or the other.

        Some demand that user and assistant alternate, which an answer that nobody heard breaks; some know no calls, or
        not several at a time.
        """
        for form in (messages, chat.as_text(messages))[0 if self._knows_calls else 1 :]:
            yield form
            yield chat.alternating(form)

    def _render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None) -> str:
        text = self._template.render(
            messages=messages,
            add_generation_prompt=True,
            tools=tools,
            documents=None,
            **self._special_tokens,
        )
        first = self._special_tokens.get("bos_token", "")
        if first and text.startswith(first) and self._adds(first):
            return text.removeprefix(first)
        return text

    def _shows_calls(self) -> bool:
        """Whether functions are told of, and calls written, in the way that core.call_reader reads."""
        called = FunctionCall("call_1", _TRIAL_FUNCTION.name, '{"a": 1}')
        messages = [*_TRIAL, Message("assistant", "", (called,)), Message("tool", "e", call_id=called.call_id)]
        try:
            text = self._render(chat.as_dictionaries(messages), [_TRIAL_FUNCTION.as_tool()])
            call = read_object(text.rpartition(OPENING)[2].partition(CLOSING)[0])
        except _REFUSALS:
            return False
        return call == {"name": called.name, "arguments": {"a": 1}} and _TRIAL_FUNCTION.description in text

    def _adds(self, token: str) -> bool:
        """Whether the tokenizer begins every text with `token`, which would then be there twice."""
        return self._tokenizer is not None and self._tokenizer.encode("").tokens[:1] == [token]


def _cost(message: Message, count: Callable[[str], int]) -> int:
    """The tokens of a message in a prompt, where `count` tells those of a text."""
    marks = MESSAGE_TOKENS + CALL_TOKENS * (len(message.calls) + (message.role == "tool"))
    return marks + sum(map(count, chat.texts(message)))


def _bytes(text: str) -> int:
    return len(text.encode())


def _last_step(messages: Sequence[Message]) -> int:
    """Where what cannot be left out begins: the last message, or the calls of which it is what came of them."""
    last = len(messages) - 1
    while last > 0 and messages[last].role == "tool":
        last -= 1
    return last


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment that Hugging Face's templates are written for, sandboxed: templates are downloaded."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _template_source(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several named ones
        template = next((each["template"] for each in template if each.get("name") == "default"), None)
    if not isinstance(template, str):
        raise ConfigurationError(
            f"{folder} has no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json. "
            "Is it an instruct model?"
        )
    return template


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{file} is missing: pull the model again, or name its folder") from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is not valid JSON ({error}): pull the model again") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file} is not a JSON object: pull the model again")
    return content


def _load_tokenizer(file: Path) -> Tokenizer:
    try:
        from tokenizers import Tokenizer as HubTokenizer
    except ImportError as error:
        raise ConfigurationError(f"{file} needs the package tokenizers: pip install goassist[tokenizer]") from error
    try:
        tokenizer: Tokenizer = HubTokenizer.from_file(str(file))
    except Exception as error:
        raise ConfigurationError(f"{file} is not a tokenizer ({error}): pull the model again") from error
    return tokenizer
