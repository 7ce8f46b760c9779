"""Keeps a long conversation within what the language model can take: the model summarises what is older.

That happens after an answer, while nobody waits. The summary is asked for behind the same messages that the model has
seen already, so that they come out of its prefix cache. Only where a turn comes before there is room does it wait.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.context import AMPLE_TOKENS, PINNED_TOKENS, PROMPT_TOKENS, REQUEST, SUMMARY_TOKENS, to_summarise
from orchestrator.core.history import History, Item, Message
from orchestrator.errors import (
    BackendRejectedError,
    BackendTimeoutError,
    ContextFullError,
    GoAssistError,
    InvalidRequestError,
)
from orchestrator.models import LanguageModel

LOGGER = logging.getLogger(__name__)

# A turn waits so long for room; then the user is told.
WAIT_S = 5.0
SUMMARY_TIMEOUT_S = 30.0


class Recollection:
    """Makes the messages of each turn, and the summary that they need. `tasks` own the summarising."""

    def __init__(
        self,
        history: History,
        llm: LanguageModel,
        *,
        tasks: asyncio.TaskGroup,
        notify: Callable[[told.Notification], None],
        wait_s: float = WAIT_S,
    ) -> None:
        self._history = history
        self._llm = llm
        self._tasks = tasks
        self._notify = notify
        self._wait_s = wait_s
        self._task: asyncio.Task[GoAssistError | None] | None = None

    def check(self, config: SessionConfig) -> None:
        """InvalidRequestError where `config`'s instructions and functions leave no room for a conversation."""
        tokens = self._cost(config, self._history.messages(config.instructions, []))
        if tokens > PINNED_TOKENS:
            raise InvalidRequestError(
                f"the instructions and the functions have {tokens} tokens, {PINNED_TOKENS} are allowed",
                param="session.tools" if config.functions else "session.instructions",
            )

    def answered(self, config: SessionConfig) -> None:
        """An answer is complete: make room for the next turns, if that is needed."""
        if self._task is None and self._whole(config) > AMPLE_TOKENS:
            self._begin(config)

    async def messages(self, config: SessionConfig, items: Sequence[Item]) -> Sequence[Message]:
        """The chat of these items, which are the history's, now or at an earlier moment, behind the instructions.

        Returns at once where they fit. Raises ContextFullError where the summary fails or takes longer than `wait_s`.
        """
        messages = self._history.messages(config.instructions, items)
        if self._cost(config, messages) <= PROMPT_TOKENS or len(self._history.unsummarised(items)) < 2:
            return messages
        task = self._task or self._begin(config)
        try:
            async with asyncio.timeout(self._wait_s):
                error = await asyncio.shield(task)
        except TimeoutError:
            error = BackendTimeoutError("the summary was not written in time")
        if error is not None:
            raise ContextFullError(
                "the conversation is longer than the language model can take, and it could not be summarised "
                f"({error}): try again, or begin a new call"
            ) from error
        return self._history.messages(config.instructions, items)

    def _begin(self, config: SessionConfig) -> asyncio.Task[GoAssistError | None]:
        self._task = self._tasks.create_task(self._make_room(config), name="summarise the conversation")
        return self._task

    async def _make_room(self, config: SessionConfig) -> GoAssistError | None:
        """Summarise until there is room; returns why that failed."""
        try:
            async with asyncio.timeout(SUMMARY_TIMEOUT_S):
                while self._whole(config) > AMPLE_TOKENS:
                    pinned = self._cost(config, self._history.messages(config.instructions, []))
                    items = to_summarise(self._history.unsummarised(), self._cost_of_text, pinned=pinned)
                    if not items:
                        break
                    self._history.summarise(items, await self._summary(config.instructions, items))
                    self._notify(told.ContextSummarised(len(items)))
        except GoAssistError as error:
            failure: GoAssistError | None = error
        except TimeoutError:
            failure = BackendTimeoutError("the summary was not written in time")
        else:
            failure = None
        finally:
            self._task = None
        if failure is not None:
            LOGGER.warning("a long conversation could not be summarised: %s", failure)
            self._notify(told.ContextSummarised(0, failure.code))
        return failure

    async def _summary(self, instructions: str, items: Sequence[Item]) -> str:
        messages = [*self._history.messages(instructions, items), Message("user", REQUEST)]
        generation = self._llm.generate(messages, max_tokens=SUMMARY_TOKENS, temperature=0.0)
        async with aclosing(generation) as deltas:
            summary = "".join([delta async for delta in deltas if isinstance(delta, str)]).strip()
        if not summary:
            raise BackendRejectedError("the language model wrote no summary")
        return summary

    def _whole(self, config: SessionConfig) -> int:
        """How many tokens a prompt of the conversation as it stands has."""
        return self._cost(config, self._history.messages(config.instructions))

    def _cost(self, config: SessionConfig, messages: Sequence[Message]) -> int:
        """How many tokens a prompt of these messages has, the functions in it included."""
        return self._llm.count_tokens(messages, config.functions)

    def _cost_of_text(self, text: str) -> int:
        return self._llm.count_tokens([Message("user", text)])
