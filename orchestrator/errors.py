"""Errors, by what the caller does about them. Edges map foreign errors to these and keep the cause."""


class GoAssistError(Exception):
    """Base of every error that this package raises on purpose; its text is fit for the user."""

    code = "internal_error"


class ConfigurationError(GoAssistError):
    """A setting, file or model is missing or wrong: the operator must act. The text says how."""

    code = "configuration_error"


class InvalidRequestError(GoAssistError):
    """The client sent something that cannot be served as it is: it must change the request (HTTP 400)."""

    code = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        """`code`: the more exact one that the Realtime API has for it, by which its clients decide what to do."""
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class BackendUnavailableError(GoAssistError):
    """Triton or a model is not ready, or was lost in mid-call: retry later (HTTP 503)."""

    code = "backend_unavailable"


class BackendTimeoutError(BackendUnavailableError):
    """A model did not answer within its deadline."""

    code = "backend_timeout"


class BackendRejectedError(GoAssistError):
    """A model refused its input; repeating the same request cannot help."""

    code = "backend_rejected"


class ContextFullError(GoAssistError):
    """The conversation is longer than the language model can take, and could not be summarised: later, perhaps."""

    code = "context_full"


class CapacityError(GoAssistError):
    """No room for another session now (HTTP 503 with Retry-After)."""

    code = "capacity_reached"

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
