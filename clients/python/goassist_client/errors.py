"""What can go wrong in a call, by what the caller does about it. Every text is fit for a person to read."""


class CallError(Exception):
    """Base of the errors below."""


class ServerUnreachableError(CallError):
    """Nothing answers at the address: start the server, or correct the address."""


class ServerBusyError(CallError):
    """The server is there but takes no call now (HTTP 503): try again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(CallError):
    """The server refused the call: what was asked must change."""


class ConnectionLostError(CallError):
    """The call ended without our asking for it."""


class NoAnswerError(CallError):
    """What was waited for did not come in time."""


class SoundError(CallError):
    """A sound file or device cannot be used."""
