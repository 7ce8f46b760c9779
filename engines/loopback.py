"""Requests of one model to another of the same server over gRPC, as any client makes them.

For servers whose business logic scripting does not bear several decoupled requests at a time: that of Triton 2.51 loses
the model's process within a minute or two of five turns side by side (engines/bls.py).
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from engines.calls import CANCEL_PARAMETER, Outputs, Part, Tensors, refused
from engines.errors import EngineUnavailableError
from orchestrator.triton import tensors
from orchestrator.triton.client import SAFE_CANCEL_VERSION

VERSION_TIMEOUT_S = 2.0
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # it is this server itself
)


class Loopback:
    """A channel to the server at `url`, host:port; calling it makes a request. See engines.calls.Calls."""

    def __init__(self, url: str) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(url, options=_OPTIONS))
        self._closes: bool | None = None  # None until the server has told its version

    def __call__(
        self, model: str, inputs: Tensors, outputs: Sequence[str], *, cancel_inputs: Tensors, part: Part | None = None
    ) -> "Inference":
        """See engines.calls.Calls; EngineUnavailableError where the server does not answer."""
        if self._closes is None:
            self._closes = self._version() >= SAFE_CANCEL_VERSION
        return Inference(self._stub, model, inputs, outputs, cancel_inputs, part, closes=self._closes)

    def _version(self) -> tuple[int, ...]:
        try:
            told = self._stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=VERSION_TIMEOUT_S)
        except grpc.RpcError as error:
            raise EngineUnavailableError(f"this server's gRPC service cannot be asked: {_reason(error)}") from error
        return tuple(int(part) for part in told.version.split(".")[:2])


class Inference:
    """See engines.calls.Inference.

    `closes`: it is cancelled by closing its stream, which every model understands, NVIDIA's vLLM backend too. Servers
    before SAFE_CANCEL_VERSION can crash of that: their models are ours, and are told on the stream.
    """

    def __init__(
        self,
        stub: Any,
        model: str,
        inputs: Tensors,
        outputs: Sequence[str],
        cancel_inputs: Tensors,
        part: Part | None,
        *,
        closes: bool,
    ) -> None:
        self._stub = stub
        self._closes = closes
        self._lock = threading.Lock()
        self._stream: Any = None
        self._model = model
        self._cancel_inputs = cancel_inputs
        self._id = uuid4().hex
        self._part = part
        self._requests: queue.SimpleQueue[service_pb2.ModelInferRequest | None] = queue.SimpleQueue()
        self._requests.put(tensors.request(model, inputs, request_id=self._id, parameters=_control(part)))
        self._outputs = frozenset(outputs)
        self._cancelled = False

    def __iter__(self) -> Iterator[Outputs]:
        """See engines.calls.Inference. It reads to the end in any case; once cancelled it yields nothing more."""
        with self._lock:
            if self._cancelled and self._closes:
                return
            self._stream = stream = self._stub.ModelStreamInfer(iter(self._requests.get, None))
        ended = False
        try:
            for response in stream:
                told = response.infer_response
                if ended or told.id != self._id:  # the answer to the order to cancel
                    continue
                ended = bool(response.error_message) or tensors.is_final(told)
                if ended:
                    self._requests.put(None)  # the server ends the stream once it has answered everything
                if response.error_message and not self._cancelled:
                    raise refused(self._model, response.error_message)
                if told.outputs and not self._cancelled:
                    made = tensors.outputs(told)
                    yield {name: made[name] for name in self._outputs & made.keys()}
        except grpc.RpcError as error:
            ended = True
            if not (self._cancelled and self._closes):  # where the end of the stream is the cancellation
                raise EngineUnavailableError(f"the model '{self._model}' cannot be asked: {_reason(error)}") from error
        finally:
            if not ended:  # nobody reads on
                self.cancel()
            with suppress(grpc.RpcError):
                for response in stream:
                    if response.infer_response.id == self._id and (
                        response.error_message or tensors.is_final(response.infer_response)
                    ):
                        self._requests.put(None)

    def cancel(self) -> None:
        """The answer is of no use any more: the model stops at its next chunk. Later calls do nothing."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            stream = self._stream
        if not self._closes:
            place = self._part.of_its_cancellation() if self._part is not None else None
            control = _control(place) | {CANCEL_PARAMETER: self._id}
            order = tensors.request(self._model, self._cancel_inputs, request_id=uuid4().hex, parameters=control)
            self._requests.put(order)
        elif stream is not None:
            stream.cancel()
            self._requests.put(None)  # ends the thread of gRPC's that waits for further requests


def _control(part: Part | None) -> dict[str, bool | int | str]:
    if part is None:
        return {}
    return {"sequence_id": part.sequence_id, "sequence_start": part.first, "sequence_end": part.last}


def _reason(error: grpc.RpcError) -> str:
    return str(error.details() if isinstance(error, grpc.Call) else error)
