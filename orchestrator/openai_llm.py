"""Answers from any server that speaks OpenAI's chat completions (LLM_BASE_URL), in place of Triton's `llm` model."""

import difflib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, ValidationError

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.functions import NO_FUNCTIONS, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.errors import (
    BackendRejectedError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    GoAssistError,
)
from orchestrator.openai_calls import CallAssembler, as_openai, tool_choice, tools
from orchestrator.triton.prompt import ChatTemplate

_ESTIMATE = ChatTemplate()  # ChatML, without a tokenizer
CONNECT_TIMEOUT_S = 5.0
FIRST_TOKEN_TIMEOUT_S = 15.0
READY_TIMEOUT_S = 2.0
# What an error shows of a long list, and of a server's own words.
SHOWN_MODELS = 3
SHOWN_CHARACTERS = 200


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    """What GET /v1/models answers. The openai package's own type takes any JSON for one, and text too."""

    data: list[_Model]


class OpenAiGeneration:
    """One answer being written: iterates over text deltas and calls of functions; closing it closes the connection,
    which aborts the model.

    The server sends the token counts at the end. Until then, and unless it does, that of the prompt is 0 and each delta
    counts as one. `finish_reason` comes with the last delta.
    """

    def __init__(self, chunks: AsyncGenerator[ChatCompletionChunk, None], functions: Functions = NO_FUNCTIONS) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.finish_reason: str | None = None
        self._chunks = chunks
        self._calls = CallAssembler(functions)
        self._read: deque[str | FunctionCall] = deque()

    def __aiter__(self) -> "OpenAiGeneration":
        return self

    async def __anext__(self) -> str | FunctionCall:
        while not self._read:
            chunk = await anext(self._chunks, None)
            if chunk is not None:
                self._take(chunk)
                continue
            if self.finish_reason is None:
                raise BackendUnavailableError("the language model's server ended the answer before it was complete")
            self._read.extend(self._calls.finish(cut_short=self.finish_reason == "length"))
            if not self._read:
                raise StopAsyncIteration
        return self._read.popleft()

    def _take(self, chunk: ChatCompletionChunk) -> None:
        for choice in (chunk.choices or [])[:1]:  # usage comes without a choice
            if choice.finish_reason:
                called = choice.finish_reason in ("tool_calls", "function_call")
                self.finish_reason = "stop" if called else choice.finish_reason
            if choice.delta.content or choice.delta.tool_calls:
                self.output_tokens += 1
            if choice.delta.content:
                self._read.append(choice.delta.content)
            for piece in choice.delta.tool_calls or []:
                self._read.extend(self._calls.push(piece))
        if chunk.usage is not None:
            self.input_tokens, self.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens

    async def aclose(self) -> None:
        """Abort what is still being written."""
        await self._chunks.aclose()


class OpenAiLlm:
    """Writes answers to chats through the server at `base_url` (with its /v1).

    `model` None takes the first that the server lists. Create it inside the event loop that uses it. Raises
    ConfigurationError for a key that no request can carry.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        first_token_timeout_s: float = FIRST_TOKEN_TIMEOUT_S,
    ) -> None:
        self._where = f"the language model's server at {_without_secrets(base_url)}"
        self._model = model
        self._first: str | None = None  # of those that the server lists
        self._key = api_key.strip() if api_key else None
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise ConfigurationError("LLM_API_KEY has a character that an HTTP header cannot carry: copy it again.")
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=self._key or "none",  # local servers ask for none, the client insists on one
            max_retries=0,  # a turn that waits for a retry is late already; the caller decides
            timeout=openai.Timeout(first_token_timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ready(self) -> bool:
        """True where the server answers and has the model. Raises the GoAssistError that says why it has not."""
        names = await self._listed(self._client.with_options(timeout=READY_TIMEOUT_S))
        if self._model is not None and self._model not in names:
            raise BackendRejectedError(
                f'{self._where} has no model "{self._model}": '
                f"set LLM_MODEL to one of its own ({_nearest(self._model, names)})"
            )
        return True

    @property
    def calls_functions(self) -> bool:
        """True: whether the server does is told by what it answers when it is offered any."""
        return True

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None,
        temperature: float,
        functions: Functions = NO_FUNCTIONS,
    ) -> OpenAiGeneration:
        """Answer the chat; `max_tokens` None is the server's own limit, and more than `CONTEXT_TOKENS` leaves is that.

        While iterating raises BackendRejectedError where the server refuses the request or the key, and for calls that
        cannot be read or are of no function that was offered, BackendUnavailableError where it cannot be reached, is
        overloaded or is lost, BackendTimeoutError where it does not go on in time.
        """
        if max_tokens is not None:  # vLLM refuses what goes beyond its context, though the answer may be short
            max_tokens = max(1, min(max_tokens, CONTEXT_TOKENS - self.count_tokens(messages, functions)))
        return OpenAiGeneration(self._stream(messages, max_tokens, temperature, functions), functions)

    def count_tokens(self, messages: Sequence[Message], functions: Functions = NO_FUNCTIONS) -> int:
        """How many tokens these have in a prompt: an estimate, since the server's tokenizer is not here."""
        return _ESTIMATE.count_messages(messages) + _ESTIMATE.count_functions(functions)

    async def _stream(
        self, messages: Sequence[Message], max_tokens: int | None, temperature: float, functions: Functions
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        try:
            stream = await self._client.chat.completions.create(
                model=await self._model_name(),
                messages=[as_openai(message) for message in messages],
                tools=tools(functions) if functions else openai.omit,
                tool_choice=tool_choice(functions) if functions else openai.omit,
                temperature=temperature,
                max_tokens=openai.omit if max_tokens is None else max_tokens,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    yield chunk
        except openai.OpenAIError as error:
            raise self._mapped(error) from error
        except ValueError as error:
            raise BackendUnavailableError(
                f"{self._where} sent what is no chat completion: {self._shown(error)}"
            ) from error

    async def _model_name(self) -> str:
        if self._model is None and self._first is None:
            await self._listed(self._client)
        name = self._model or self._first
        assert name is not None
        return name

    async def _listed(self, client: AsyncOpenAI) -> Sequence[str]:
        """The models that the server has, at least one."""
        try:
            answer = await client.models.with_raw_response.list()
            names = [model.id for model in _Models.model_validate_json(answer.content).data]
        except (openai.NotFoundError, ValidationError) as error:
            raise BackendRejectedError(
                f"{self._where} has no list of models there: set LLM_BASE_URL to the address of its API, with its /v1"
            ) from error
        except openai.OpenAIError as error:
            raise self._mapped(error) from error
        if not names:
            raise BackendUnavailableError(f"{self._where} serves no model")
        self._first = names[0]
        return names

    def _mapped(self, error: openai.OpenAIError) -> GoAssistError:
        if isinstance(error, openai.APITimeoutError):
            return BackendTimeoutError(f"{self._where} did not answer in time")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return BackendRejectedError(f"{self._where} refuses the key: set LLM_API_KEY")
        if isinstance(error, openai.RateLimitError | openai.InternalServerError):
            return BackendUnavailableError(f"{self._where} cannot answer now (HTTP {error.status_code})")
        if isinstance(error, openai.APIStatusError):
            return BackendRejectedError(f"{self._where} refuses the request: {self._shown(error.message)}")
        if isinstance(error, openai.APIConnectionError):
            cause = self._shown(error.__cause__ or error)
            return BackendUnavailableError(f"{self._where} cannot be reached, or was lost: {cause}")
        return BackendUnavailableError(f"{self._where} failed: {self._shown(error)}")

    def _shown(self, words: object) -> str:
        """Another's words on one line, cut, and without the key, which a server may repeat."""
        line = " ".join(str(words).split())
        if self._key:
            line = line.replace(self._key, "***")
        return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def _without_secrets(url: str) -> str:
    """The address without a user's name and password, and without its query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _nearest(name: str, names: Sequence[str]) -> str:
    """A few of the names, those that are most like `name` first."""
    few = difflib.get_close_matches(name, names, SHOWN_MODELS, cutoff=0.0)
    return ", ".join([*few, *(["…"] if len(names) > len(few) else [])])
