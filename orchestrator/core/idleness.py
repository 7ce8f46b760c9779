"""Whether the user has said nothing for too long after an answer, so that the agent should speak up by itself."""

# Into an empty room it is asked no more often: then the call counts as idle.
MOST_UNANSWERED = 3


class Idleness:
    """Counts from the end of an answer on, in ms of the session's sound."""

    def __init__(self) -> None:
        self._unanswered = 0
        self._since_ms: int | None = None  # nobody has made a sound; None while it is not the user's turn

    def answered(self, at_ms: int) -> None:
        """The agent has spoken to its end: it is the user's turn."""
        self._since_ms = at_ms

    def forget(self) -> None:
        """It is the agent's turn."""
        self._since_ms = None

    def sounded(self, at_ms: int) -> None:
        """The user makes a sound, which may come to nothing, or waits for something."""
        if self._since_ms is not None:
            self._since_ms = at_ms

    def heard(self) -> None:
        """The user has said something."""
        self._unanswered = 0

    def lasted(self, at_ms: int, timeout_ms: int) -> int | None:
        """Since when nobody has made a sound, if for that long, and if it is not told too often already."""
        since_ms = self._since_ms
        if since_ms is None or at_ms - since_ms < timeout_ms or self._unanswered >= MOST_UNANSWERED:
            return None
        return since_ms

    def asked(self) -> None:
        """The agent speaks up."""
        self._unanswered += 1
