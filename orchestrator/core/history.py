"""The conversation so far: items as the Realtime API counts them, and the chat messages made of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.core.functions import FunctionCall

Role = Literal["system", "user", "assistant", "tool"]
Modality = Literal["text", "audio"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, as language models take it.

    `calls` are those that the assistant made with it; one of the role 'tool' is what came of the call of `call_id`.
    """

    role: Role
    content: str
    calls: tuple[FunctionCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One conversation item. `modality` says how it was given: typed or spoken.

    With a `call_id` it is no message: the assistant's is a call of `function`, with its arguments as JSON for its text;
    the tool's is what came of that.
    """

    id: str
    role: Role
    text: str
    modality: Modality = "text"
    complete: bool = True
    call_id: str | None = None
    function: str = ""


# Behind the instructions, so that the prompt begins as before: what is cached of it stays valid.
_SUMMARY = "What was said earlier in this conversation, in short:"
_NOT_YET = "The result is not there yet."


class History:
    """Ordered items of one conversation, the oldest of which a summary may stand for.

    Raises KeyError for an id that is not there and ValueError for one that is there already.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self.summary = ""
        self._summarised: set[str] = set()  # ids of the items that it stands for

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self._items)

    def __getitem__(self, item_id: str) -> Item:
        return self._items[self._index(item_id)]

    def previous_id(self, item_id: str) -> str | None:
        """The id of the item before `item_id`, None for the first."""
        index = self._index(item_id)
        return self._items[index - 1].id if index else None

    def add(self, item: Item, *, after: str | None = None) -> None:
        """Insert `item` after the item of id `after`, at the end without one, at the start for "root"."""
        if any(each.id == item.id for each in self._items):
            raise ValueError(f"an item of id {item.id!r} is in the conversation already")
        if after is None:
            self._items.append(item)
        else:
            self._items.insert(0 if after == "root" else self._index(after) + 1, item)

    def set_text(self, item_id: str, text: str, *, complete: bool = True) -> Item:
        """Replace an item's text, as a growing answer or a truncation does; returns the item."""
        index = self._index(item_id)
        self._items[index] = replace(self._items[index], text=text, complete=complete)
        return self._items[index]

    def delete(self, item_id: str) -> None:
        """Remove an item."""
        del self._items[self._index(item_id)]
        self._summarised.discard(item_id)

    def summarise(self, items: Iterable[Item], summary: str) -> None:
        """From now on `summary` stands for these items and for those that the summary before it stood for."""
        self.summary = summary
        self._summarised.update(item.id for item in items)

    def unsummarised(self, items: Iterable[Item] | None = None) -> list[Item]:
        """The items that say something and have no summary; `items`: of these, in place of all."""
        of = self._items if items is None else items
        return [item for item in of if (item.text.strip() or item.call_id) and item.id not in self._summarised]

    def has_call(self, call_id: str) -> bool:
        """Whether the assistant has made that call."""
        return any(item.call_id == call_id and item.role == "assistant" for item in self._items)

    @property
    def awaits_output(self) -> bool:
        """Whether a call that was made since the user said something has no output yet."""
        outputs: set[str | None] = set()
        for item in reversed(self._items):
            if item.role == "user" and item.text:
                return False
            if item.role == "tool":
                outputs.add(item.call_id)
            elif item.call_id is not None and item.call_id not in outputs:
                return True
        return False

    def messages(self, instructions: str, items: Iterable[Item] | None = None) -> list[Message]:
        """Chat messages: the instructions and the summary as the pinned prefix, then every item that has words.

        `items` takes these in place of all, as they were at another moment.
        """
        summary = f"{_SUMMARY}\n{self.summary}" if self.summary else ""
        pinned = "\n\n".join(text for text in (instructions, summary) if text)
        prefix = [Message("system", pinned)] if pinned else []
        return prefix + _chat(self._with_their_calls(self.unsummarised(items)))

    def _with_their_calls(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, and before an output its call where that is not among them: a summary may stand for it."""
        calls = {item.call_id: item for item in self._items if item.role == "assistant" and item.call_id is not None}
        for item in items:
            call = calls.pop(item.call_id, None) if item.call_id is not None else None
            if call is not None and item.role == "tool":
                yield call
            yield item

    def _index(self, item_id: str) -> int:
        for index, item in enumerate(self._items):
            if item.id == item_id:
                return index
        raise KeyError(item_id)


def _chat(those: Iterable[Item]) -> list[Message]:
    """The items as messages.

    Models are used to calls that go with what was said, and are followed by what came of them; without the call its
    output means nothing. Where the agent said more before it came, both stand where it is.
    """
    items = list(those)
    outputs = {item.call_id: item.text for item in items if item.role == "tool"}
    calls = {item.call_id: item for item in items if item.role == "assistant" and item.call_id is not None}
    late = _late(items)
    chat: list[Message] = []
    following: list[Message] = []  # the outputs of the last message's calls
    for item in items:
        if item.call_id is None or (item.role == "tool" and item.call_id not in late):
            chat += following
            following = []
        if item.call_id is None:
            chat.append(Message(item.role, item.text))
        elif (item.role == "tool") == (item.call_id in late):
            if not chat or chat[-1].role != "assistant":
                chat.append(Message("assistant", ""))
            made = calls[item.call_id]
            call = FunctionCall(item.call_id, made.function, made.text)
            chat[-1] = replace(chat[-1], calls=(*chat[-1].calls, call))
            following.append(Message("tool", outputs.get(item.call_id, _NOT_YET), call_id=item.call_id))
            if item.role == "tool":
                late.discard(item.call_id)
    return chat + following


def _late(items: Sequence[Item]) -> set[str]:
    """The calls whose output came after the agent had said more: behind that it is what the model answers now."""
    waiting: set[str] = set()
    overtaken: set[str] = set()
    late: set[str] = set()
    for item in items:
        if item.call_id is None and item.role == "assistant":
            overtaken |= waiting
        elif item.call_id is None:
            continue
        elif item.role == "assistant":
            waiting.add(item.call_id)
        elif item.call_id in waiting:
            waiting.discard(item.call_id)
            if item.call_id in overtaken:
                late.add(item.call_id)
    return late
