"""Requests of one model to another of the same server, as Triton's business logic scripting has them.

Beside engines/serving.py the only importer of triton_python_backend_utils. Triton 2.51 loses the process of a model
that has several decoupled requests under way, some of them cancelled: there one at a time, or engines/loopback.py.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import triton_python_backend_utils as pb_utils

from engines.calls import CANCEL_PARAMETER, Outputs, Part, Tensors, refused
from engines.errors import EngineUnavailableError


class Inference:
    """See engines.calls: the class is a way to ask, its objects are requests."""

    def __init__(
        self,
        model: str,
        inputs: Tensors,
        outputs: Sequence[str],
        *,
        cancel_inputs: Tensors,
        part: Part | None = None,
    ) -> None:
        self._model = model
        self._outputs = list(outputs)
        self._cancel_inputs = cancel_inputs
        self._part = part
        self._id = uuid4().hex
        self._request = self._made(inputs, request_id=self._id, **_options(part))
        self._lock = threading.Lock()
        self._responses: Any = None
        self._ended = False
        self._cancelled = False

    def __iter__(self) -> Iterator[Outputs]:
        """Yield the outputs of each response that has any, until the last or until it is cancelled.

        It must be read to its end, since the server keeps what is not read.
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
                    raise refused(self._model, response.error().message())
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
        place = self._part.of_its_cancellation() if self._part is not None else None
        order = self._made(self._cancel_inputs, parameters={CANCEL_PARAMETER: self._id}, **_options(place))
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


def _options(part: Part | None) -> dict[str, int]:
    if part is None:
        return {}
    flags = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START if part.first else 0
    if part.last:
        flags |= pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END
    return {"correlation_id": part.sequence_id, "flags": flags}
