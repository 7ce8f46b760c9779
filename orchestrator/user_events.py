"""What the user did, told in the order in which it was done."""

from collections import deque
from collections.abc import Callable

from orchestrator.core.events import Event, TurnEnded
from orchestrator.user_turn import UserTurn

# Events that wait for a final transcript. It comes within the recogniser's deadline, in which nobody does so much.
MAX_WAITING = 64


class UserEvents:
    """Hands events to `deliver`; what was done after a turn's end waits until that turn's text is known.

    `concluded` is told of each turn just before its end is delivered. Both are called at once and must be quick.
    """

    def __init__(self, *, deliver: Callable[[Event], None], concluded: Callable[[UserTurn], None]) -> None:
        self._deliver = deliver
        self._concluded = concluded
        self._waiting: deque[Event | UserTurn] = deque()  # a turn stands for its end

    def add(self, event: Event) -> None:
        """It comes after all that was added before. Where too much waits, the first turn ends without words."""
        self._waiting.append(event)
        first = self._waiting[0]
        if isinstance(first, UserTurn) and first.text is None and len(self._waiting) > MAX_WAITING:
            first.text = ""
        self.go_on()

    def end(self, turn: UserTurn) -> None:
        """The turn ended here. Once its text is known, `go_on`."""
        self._waiting.append(turn)

    def go_on(self) -> None:
        """Deliver all up to the first end of a turn whose text is still awaited."""
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, UserTurn):
                if first.text is None:
                    return
                self._concluded(first)
                first = TurnEnded(first.number, first.text, first.by_client)
            self._waiting.popleft()
            self._deliver(first)
