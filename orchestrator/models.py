"""The models that a session talks to, wired in app.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.functions import NO_FUNCTIONS, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.triton.asr import TritonAsr
from orchestrator.triton.tts import TritonTts
from orchestrator.triton.turn import TritonTurn


class Generation(Protocol):
    """One answer being written: iterates over text deltas and complete calls; closing it aborts the model.

    The token counts grow with the deltas. They and the reason of its end ('stop', or 'length' where `max_tokens` were
    reached; None where the model does not tell) are final once the deltas have ended.
    """

    input_tokens: int
    output_tokens: int
    finish_reason: str | None

    def __aiter__(self) -> "Generation": ...
    async def __anext__(self) -> str | FunctionCall: ...
    async def aclose(self) -> None: ...


class LanguageModel(Protocol):
    """Writes answers: Triton's `llm` model, or any server that speaks OpenAI's chat completions."""

    @property
    def calls_functions(self) -> bool:
        """Whether it calls functions that it is offered."""

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None,
        temperature: float,
        functions: Functions = NO_FUNCTIONS,
    ) -> Generation:
        """Answer the chat; `max_tokens` None is the model's own limit. Raises GoAssistError while iterating."""

    def count_tokens(self, messages: Sequence[Message], functions: Functions = NO_FUNCTIONS) -> int:
        """How many tokens these have in a prompt, by the model's tokenizer or estimated: never too few by much."""


@dataclass(frozen=True, slots=True)
class Models:
    """Recognition, language, synthesis and end-of-turn judgement of one process, shared by its sessions."""

    asr: TritonAsr
    llm: LanguageModel
    tts: TritonTts
    turn: TritonTurn | None = None
