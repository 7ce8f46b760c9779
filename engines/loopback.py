"""Requests of one model to another of the same server over gRPC, as any client makes them.

For servers whose business logic scripting does not bear several decoupled requests at a time: that of Triton 2.51 loses
the model's process within a minute or two of five turns side by side (engines/bls.py).
"""

import queue
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from engines.calls import Outputs, Part, Tensors, refused
from engines.errors import EngineUnavailableError
from engines.serving import CANCEL_PARAMETER
from orchestrator.triton import tensors

_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Loopback:
    """A channel to the server at `url`, host:port; calling it makes a request. See engines.calls.Calls."""

    def __init__(self, url: str) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(url, options=_OPTIONS))

    def __call__(
        self, model: str, inputs: Tensors, outputs: Sequence[str], *, cancel_inputs: Tensors, part: Part | None = None
    ) -> "Inference":
        return Inference(self._stub, model, inputs, outputs, cancel_inputs, part)


class Inference:
    """See engines.calls.Inference. The stream is never closed before its end, which can crash this server, too."""

    def __init__(
        self, stub: Any, model: str, inputs: Tensors, outputs: Sequence[str], cancel_inputs: Tensors, part: Part | None
    ) -> None:
        self._stub = stub
        self._model = model
        self._cancel_inputs = cancel_inputs
        self._id = uuid4().hex
        control: dict[str, bool | int] = {}
        if part is not None:
            control = {"sequence_id": part.sequence_id, "sequence_start": part.first, "sequence_end": part.last}
        self._requests: queue.SimpleQueue[service_pb2.ModelInferRequest | None] = queue.SimpleQueue()
        self._requests.put(tensors.request(model, inputs, request_id=self._id, parameters=control))
        self._outputs = frozenset(outputs)
        self._cancelled = False

    def __iter__(self) -> Iterator[Outputs]:
        """See engines.calls.Inference. It reads to the end in any case; once cancelled it yields nothing more."""
        ended = False
        stream = self._stub.ModelStreamInfer(iter(self._requests.get, None))
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
            reason = error.details() if isinstance(error, grpc.Call) else error
            raise EngineUnavailableError(f"the model '{self._model}' cannot be asked: {reason}") from error
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
        """Ask the model on the same stream to stop."""
        if not self._cancelled:
            self._cancelled = True
            order = tensors.request(
                self._model, self._cancel_inputs, request_id=uuid4().hex, parameters={CANCEL_PARAMETER: self._id}
            )
            self._requests.put(order)
