"""Answers from any server that speaks OpenAI's chat completions (LLM_BASE_URL), in place of Triton's `llm` model."""

from collections.abc import AsyncGenerator, Sequence

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.history import Message
from orchestrator.errors import BackendRejectedError, BackendTimeoutError, BackendUnavailableError, GoAssistError
from orchestrator.triton.prompt import ChatTemplate

_ESTIMATE = ChatTemplate()  # ChatML, without a tokenizer
CONNECT_TIMEOUT_S = 5.0
FIRST_TOKEN_TIMEOUT_S = 15.0
READY_TIMEOUT_S = 2.0


class OpenAiGeneration:
    """One answer being written: iterates over text deltas; closing it closes the connection, which aborts the model.

    The server sends the token counts at the end. Until then, and unless it does, that of the prompt is 0 and each delta
    counts as one. `finish_reason` comes with the last delta.
    """

    def __init__(self, chunks: AsyncGenerator[ChatCompletionChunk, None]) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.finish_reason: str | None = None
        self._chunks = chunks

    def __aiter__(self) -> "OpenAiGeneration":
        return self

    async def __anext__(self) -> str:
        async for chunk in self._chunks:
            if chunk.usage is not None:
                self.input_tokens, self.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            for choice in (chunk.choices or [])[:1]:  # usage comes without a choice
                self.finish_reason = choice.finish_reason or self.finish_reason
                if choice.delta.content:
                    self.output_tokens += 1
                    return choice.delta.content
        if self.finish_reason is None:
            raise BackendUnavailableError("the language model's server ended the answer before it was complete")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Abort what is still being written."""
        await self._chunks.aclose()


class OpenAiLlm:
    """Writes answers to chats through the server at `base_url` (with its /v1).

    `model` None takes the first that the server lists. Create it inside the event loop that uses it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        first_token_timeout_s: float = FIRST_TOKEN_TIMEOUT_S,
    ) -> None:
        self._where = f"the language model's server at {base_url}"
        self._model = model
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",  # local servers ask for none, the client insists on one
            max_retries=0,  # a turn that waits for a retry is late already; the caller decides
            timeout=openai.Timeout(first_token_timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ready(self) -> bool:
        """Whether the server answers and has the model; False when it cannot be reached."""
        try:
            models = (await self._client.with_options(timeout=READY_TIMEOUT_S).models.list()).data
        except (openai.OpenAIError, ValueError):
            return False
        return any(self._model in (None, model.id) for model in models)

    def generate(self, messages: Sequence[Message], *, max_tokens: int | None, temperature: float) -> OpenAiGeneration:
        """Answer the chat; `max_tokens` None is the server's own limit, and more than `CONTEXT_TOKENS` leaves is that.

        While iterating raises BackendRejectedError where the server refuses the request or the key,
        BackendUnavailableError where it cannot be reached, is overloaded or is lost, BackendTimeoutError where it does
        not go on in time.
        """
        if max_tokens is not None:  # vLLM refuses what goes beyond its context, though the answer may be short
            max_tokens = max(1, min(max_tokens, CONTEXT_TOKENS - self.count_tokens(messages)))
        return OpenAiGeneration(self._stream(messages, max_tokens, temperature))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens these messages have in a prompt: an estimate, since the server's tokenizer is not here."""
        return _ESTIMATE.count_messages(messages)

    async def _stream(
        self, messages: Sequence[Message], max_tokens: int | None, temperature: float
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        try:
            stream = await self._client.chat.completions.create(
                model=await self._model_name(),
                messages=[_as_openai(message) for message in messages],
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
            raise BackendUnavailableError(f"{self._where} sent what is no chat completion: {error}") from error

    async def _model_name(self) -> str:
        if self._model is None:
            models = (await self._client.models.list()).data
            if not models:
                raise BackendUnavailableError(f"{self._where} serves no model")
            self._model = models[0].id
        return self._model

    def _mapped(self, error: openai.OpenAIError) -> GoAssistError:
        if isinstance(error, openai.APITimeoutError):
            return BackendTimeoutError(f"{self._where} did not answer in time")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return BackendRejectedError(f"{self._where} refuses the key: set LLM_API_KEY")
        if isinstance(error, openai.RateLimitError | openai.InternalServerError):
            return BackendUnavailableError(f"{self._where} cannot answer now (HTTP {error.status_code})")
        if isinstance(error, openai.APIStatusError):
            return BackendRejectedError(f"{self._where} refuses the request: {error.message}")
        if isinstance(error, openai.APIConnectionError):
            return BackendUnavailableError(f"{self._where} cannot be reached, or was lost: {error.__cause__ or error}")
        return BackendUnavailableError(f"{self._where} failed: {error}")


def _as_openai(message: Message) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "assistant":
            return {"role": "assistant", "content": message.content}
        case "user":
            return {"role": "user", "content": message.content}
