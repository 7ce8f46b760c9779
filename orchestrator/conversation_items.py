"""The conversation's items as the client adds, removes and is told of them."""

from collections.abc import Callable

from orchestrator import notifications as told
from orchestrator.core.history import History, Item
from orchestrator.errors import InvalidRequestError


class ConversationItems:
    """What comes into `history` besides the agent's answers. `tag` makes ids of this session's own.

    `untold`: the id of an item that is in the history already, and of which the client knows nothing yet.
    """

    def __init__(
        self,
        history: History,
        *,
        tag: str,
        untold: Callable[[], str | None],
        notify: Callable[[told.Notification], None],
    ) -> None:
        self._history = history
        self._tag = tag
        self._untold = untold
        self._notify = notify

    def user_item_id(self, turn: int) -> str:
        """The id of the item that the user's words of this turn are, or will be."""
        return f"item_{self._tag}_{turn}u"

    def add(self, item: Item, after: str | None = None) -> None:
        """A typed item of the client's, a function call, or what came of one. Raises InvalidRequestError."""
        if item.role == "tool" and not (item.call_id and self._history.has_call(item.call_id)):
            raise InvalidRequestError(
                f"there is no function call {item.call_id!r} for this to be the output of", param="item.call_id"
            )
        if item.role == "assistant" and item.call_id and self._history.has_call(item.call_id):
            raise InvalidRequestError(f"there is a function call {item.call_id!r} already", param="item.call_id")
        try:
            self._history.add(item, after=after)
        except ValueError as error:
            raise InvalidRequestError(str(error), param="item.id", code="item_create_duplicate_item_id") from error
        except KeyError as error:
            raise InvalidRequestError(
                f"there is no item {after!r} to add one after", param="previous_item_id"
            ) from error
        self._notify(told.ItemAdded(item, self._previous_id(item.id), done=True))

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises InvalidRequestError."""
        try:
            self._history.delete(item_id)
        except KeyError as error:
            raise InvalidRequestError(
                f"there is no item {item_id!r}", param="item_id", code="item_delete_invalid_item_id"
            ) from error
        self._notify(told.ItemDeleted(item_id))

    def commit(self, turn: int, text: str, *, audio_s: float, transcribed: bool = True) -> None:
        """What the user said in this turn, in so many seconds. Not `transcribed`: its words were lost."""
        item = Item(self.user_item_id(turn), "user", text, "audio")
        self._history.add(item)
        previous = self._previous_id(item.id)
        self._notify(told.AudioCommitted(item.id, previous))
        self._notify(told.ItemAdded(item, previous, done=False))
        if transcribed:
            self._notify(told.TranscriptCompleted(item.id, text, audio_s))
        self._notify(told.ItemDone(item, previous))

    def _previous_id(self, item_id: str) -> str | None:
        """The item before that one, as far as the client knows."""
        previous = self._history.previous_id(item_id)
        return self._history.previous_id(previous) if previous and previous == self._untold() else previous
