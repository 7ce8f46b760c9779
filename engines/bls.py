"""Requests of one model to another of the same server, as Triton's business logic scripting has them.

Beside engines/serving.py the only importer of triton_python_backend_utils.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from engines.errors import EngineError, EngineUnavailableError, InvalidInputError
from engines.serving import CANCEL_PARAMETER

# How texts of errors begin that are not the request's fault: engines/serving.py writes two of them, Triton the others.
_LOST_PREFIXES = ("UNAVAILABLE: ", "INTERNAL: ", "Failed to process the request(s)", "Stub process")

Tensors = Mapping[str, npt.NDArray[Any]]


def text(value: str) -> npt.NDArray[np.object_]:
    """A STRING [1] input."""
    return np.array([value.encode()], dtype=np.object_)


class Inference:
    """One request to a decoupled model. Iterate over its responses once, in one thread; cancel it from any.

    `inputs` have the shapes of the model's contract. `cancel_inputs` satisfy its required inputs at little cost: where
    the server cannot cancel such a request, another one with these does it, as engines/serving.py understands.
    """

    def __init__(
        self, model: str, inputs: Tensors, outputs: Sequence[str], *, cancel_inputs: Tensors, **options: Any
    ) -> None:
        self._model = model
        self._outputs = list(outputs)
        self._cancel_inputs = cancel_inputs
        self._id = uuid4().hex
        self._request = self._made(inputs, request_id=self._id, **options)
        self._lock = threading.Lock()
        self._responses: Any = None
        self._ended = False
        self._cancelled = False

    def __iter__(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Yield the outputs of each response that has any, until the last or until it is cancelled.

        InvalidInputError where the model refuses the request, EngineUnavailableError where it cannot serve it. Blocks
        while the model computes; it must be read to its end, since the server keeps what is not read.
        """
        if self._cancelled:
            return
        try:
            self._responses = self._request.exec(decoupled=True)
            for response in self._responses:
                if self._cancelled:
                    self._tell()  # again: the first time the model may not have had the request yet
                    self._read_out()
                    return
                if response.has_error():
                    raise _error(self._model, response.error().message())
                tensors = response.output_tensors()
                if tensors:
                    yield {tensor.name(): np.array(tensor.as_numpy()) for tensor in tensors}
        except pb_utils.TritonModelException as error:
            raise EngineUnavailableError(f"the model '{self._model}' cannot be asked: {error}") from error
        finally:
            with self._lock:
                self._ended = True

    def cancel(self) -> None:
        """The answer is of no use any more: the model stops at its next chunk. Later calls do nothing."""
        with self._lock:
            if self._ended or self._cancelled:
                return
            self._cancelled = True
        self._tell()

    def _tell(self) -> None:
        if hasattr(self._responses, "cancel"):  # newer servers
            self._responses.cancel()
            return
        order = self._made(self._cancel_inputs, parameters={CANCEL_PARAMETER: self._id})
        for _ in order.exec(decoupled=True):
            pass

    def _read_out(self) -> None:
        for _ in self._responses:
            pass

    def _made(self, inputs: Tensors, **options: Any) -> Any:
        tensors = [pb_utils.Tensor(name, array) for name, array in inputs.items()]
        return pb_utils.InferenceRequest(
            model_name=self._model, requested_output_names=self._outputs, inputs=tensors, **options
        )


def sequence_options(sequence_id: int, *, first: bool, last: bool) -> dict[str, int]:
    """Options of `Inference` for a request of a sequence."""
    flags = 0
    if first:
        flags |= pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
    if last:
        flags |= pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END
    return {"correlation_id": sequence_id, "flags": flags}


def _error(model: str, message: str) -> EngineError:
    """By the text alone: the server hands every error of a stream on as an internal one."""
    if message.startswith(_LOST_PREFIXES):
        return EngineUnavailableError(f"the model '{model}' failed: {message}")
    return InvalidInputError(f"{model}: {message}")
