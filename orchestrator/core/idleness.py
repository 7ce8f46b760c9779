"""Whether the user has said nothing for too long after an answer, so that the agent should speak up by itself."""

# Into an empty room it is asked no more often: then the call counts as idle.
MOST_UNANSWERED = 3


class Idleness:
    """Told of every moment of the call, in ms of the session's sound."""

    def __init__(self) -> None:
        self._unanswered = 0
        self._since_ms: int | None = None  # nobody has spoken; None while that is nothing to the agent

    def answered(self, at_ms: int) -> None:
        """The agent has spoken to its end: it is the user's turn."""
        self._since_ms = at_ms

    def forget(self) -> None:
        """An answer is under way."""
        self._since_ms = None

    def spoken(self, at_ms: int) -> None:
        """The user makes a sound, which may come to nothing."""
        self._unanswered = 0
        if self._since_ms is not None:
            self._since_ms = at_ms

    def lasted(self, at_ms: int, timeout_ms: int) -> int | None:
        """Since when, if it has lasted that long; that is told once for each answer."""
        since_ms = self._since_ms
        if since_ms is None or at_ms - since_ms < timeout_ms or self._unanswered >= MOST_UNANSWERED:
            return None
        self._since_ms = None
        self._unanswered += 1
        return since_ms
