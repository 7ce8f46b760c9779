"""Errors as HTTP answers in OpenAI's shape: {"error": {"type", "code", "message", "param"}}."""

from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from orchestrator.errors import (
    BackendRejectedError,
    BackendTimeoutError,
    BackendUnavailableError,
    CapacityError,
    ContextFullError,
    GoAssistError,
    InvalidRequestError,
)

RETRY_AFTER_S = 5
_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
}


def error_answer(
    status: int, code: str, message: str, *, param: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error for the client; its type follows from the status."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    content = {"error": {"type": kind, "code": code, "message": message, "param": param}}
    return JSONResponse(content, status, headers=dict(headers or {}))


def answer_of(error: Exception) -> JSONResponse:
    """The answer for an error that was raised on purpose."""
    match error:
        case InvalidRequestError():
            return error_answer(400, error.code, str(error), param=error.param)
        case BackendRejectedError():
            return error_answer(400, error.code, str(error))
        case CapacityError():
            return error_answer(503, error.code, str(error), headers={"Retry-After": str(error.retry_after_s)})
        case BackendTimeoutError():
            return error_answer(504, error.code, str(error))
        case BackendUnavailableError() | ContextFullError():
            return error_answer(503, error.code, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})
        case HTTPException():
            code = _CODES.get(error.status_code, "http_error")
            return error_answer(error.status_code, code, str(error.detail), headers=error.headers)
        case RequestValidationError():
            first = error.errors()[0]
            param = ".".join(str(step) for step in first["loc"][1:])
            return error_answer(400, "invalid_request_error", f"{param}: {first['msg']}", param=param)
        case GoAssistError():
            return error_answer(500, error.code, str(error))
        case _:
            # The traceback goes to the log, not to the client.
            return error_answer(500, "internal_error", "something went wrong in the server; its log says what")


async def refuse(request: Request, error: Exception) -> Response:
    """FastAPI's way to `answer_of`."""
    return answer_of(error)
