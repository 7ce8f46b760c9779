"""Errors of engines, by what the caller of the model can do about them; engines.serving gives each its Triton code."""


class EngineError(Exception):
    """Base of the errors that engines raise on purpose; the text is sent to the caller."""


class InvalidInputError(EngineError):
    """The request cannot be served as it is: the caller must change it (INVALID_ARG)."""


class EngineUnavailableError(EngineError):
    """The engine cannot serve now: the caller may try again later (UNAVAILABLE)."""


class CancelledError(EngineError):
    """The caller has cancelled the request (CANCELLED); nobody reads the answer any more."""


class ModelSetupError(EngineError):
    """The model cannot be loaded: the operator must act, and the text says how."""
