"""Chat messages rendered as the one text that a language model completes.

Triton's vLLM backend applies no chat template, so the model's own is applied here: the Jinja2 template that comes with
its tokenizer, or ChatML (Qwen's format) without one. What people say is data: it cannot contain a control token.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Protocol

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.core.history import Message
from orchestrator.errors import ConfigurationError, InvalidRequestError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MESSAGE_TOKENS = 8
"""What a template adds to a message: its role and the marks around it (ChatML 5, Llama 3's 5)."""
CHARACTERS_PER_TOKEN = 4
"""The estimate without a tokenizer; English text has a little more.

Of the characters that ASCII lacks each counts as a token: a little too many for Chinese, twice too many for Russian,
about right for languages of Latin letters and accents.
"""
_CONTROL_TOKEN = r"<\|[A-Za-z0-9_]{1,64}\|>"
_TRIAL = (Message("system", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d"))


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
        controls = {token for token in (*control_tokens, *self._special_tokens.values()) if token.strip()}
        self._controls = re.compile(
            "|".join([*map(re.escape, sorted(controls, key=len, reverse=True)), _CONTROL_TOKEN])
        )
        self._tokenizer = tokenizer
        self._counted = lru_cache(4096)(self.count_tokens)  # a conversation's messages come again with every turn
        try:
            self._template = _environment().from_string(source)
            self._render(_TRIAL)
        except TemplateError as error:
            raise ConfigurationError(f"the chat template cannot render a conversation: {error}") from error

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

    def render(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> str:
        """The prompt that the model is to complete with the assistant's next message.

        Where it would be longer than `max_tokens`, the oldest messages behind the instructions are left out. Raises
        InvalidRequestError where not even the last one fits, and where the template refuses the messages.
        """
        if max_tokens is not None:
            messages = self._within(messages, max_tokens)
        cleaned = [Message(message.role, self._without_controls(message.content)) for message in messages]
        try:
            return self._render(cleaned)
        except TemplateError:
            # Some templates demand that user and assistant alternate, which an answer that nobody heard breaks.
            try:
                return self._render(_alternating(cleaned))
            except TemplateError as error:
                raise InvalidRequestError(f"the model's chat template refuses this conversation: {error}") from error

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` has; see `counts_exactly`."""
        if self._tokenizer is None:
            ascii_characters = len(text) if text.isascii() else sum(map(str.isascii, text))
            return math.ceil(ascii_characters / CHARACTERS_PER_TOKEN) + len(text) - ascii_characters
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def count_messages(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages have in a prompt, the marks between them included."""
        return sum(self._counted(message.content) + MESSAGE_TOKENS for message in messages)

    def _within(self, messages: Sequence[Message], max_tokens: int) -> Sequence[Message]:
        if sum(len(message.content.encode()) + MESSAGE_TOKENS for message in messages) <= max_tokens:
            return messages  # a token is a byte at least: there is nothing to count
        costs = [self._counted(message.content) + MESSAGE_TOKENS for message in messages]
        excess = sum(costs) - max_tokens
        if excess <= 0:
            return messages
        pinned = next((n for n, message in enumerate(messages) if message.role != "system"), len(messages))
        # By quarters, so that the next turns' prompts begin alike, which vLLM's prefix cache makes free.
        quarter = max(1, max_tokens // 4)
        wanted, left_out, first = -(-excess // quarter) * quarter, 0, pinned
        while first < len(messages) - 1 and (left_out < wanted or messages[first].role == "assistant"):
            left_out += costs[first]
            first += 1
        if left_out < excess:
            raise InvalidRequestError(
                f"the instructions and the last message have {sum(costs) - left_out} tokens, "
                f"{max_tokens} are the most that the language model is given"
            )
        return [*messages[:pinned], *messages[first:]]

    def _render(self, messages: Sequence[Message]) -> str:
        text = self._template.render(
            messages=[{"role": message.role, "content": message.content} for message in messages],
            add_generation_prompt=True,
            tools=None,
            documents=None,
            **self._special_tokens,
        )
        first = self._special_tokens.get("bos_token", "")
        if first and text.startswith(first) and self._adds(first):
            return text.removeprefix(first)
        return text

    def _adds(self, token: str) -> bool:
        """Whether the tokenizer begins every text with `token`, which would then be there twice."""
        return self._tokenizer is not None and self._tokenizer.encode("").tokens[:1] == [token]

    def _without_controls(self, text: str) -> str:
        # A space in place of each, again until there is none: removing one could join another out of its neighbours.
        while self._controls.search(text):
            text = self._controls.sub(" ", text)
        return text


def _alternating(messages: Sequence[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1] = Message(message.role, f"{merged[-1].content}\n{message.content}")
        else:
            merged.append(message)
    return merged


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
