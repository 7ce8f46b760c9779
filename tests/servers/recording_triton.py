"""A real gRPC server with Triton's protocol that records requests and answers each with made-up tensors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

_DATATYPES = {"TYPE_STRING": "BYTES"}
_DTYPES = {"INT16": np.int16, "INT32": np.int32, "UINT32": np.uint32, "FP32": np.float32, "BOOL": np.bool_}
TEXT = b"[]"  # also valid where a STRING output holds JSON


def datatype(data_type: int) -> str:
    """The protocol's name (BYTES, FP32 …) of a data type of config.pbtxt."""
    name = model_config_pb2.DataType.Name(data_type)
    return _DATATYPES.get(name, name.removeprefix("TYPE_"))


@dataclass(slots=True)
class RecordingTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers as `config` says: all of its outputs, each with one element, then the final flag."""

    config: model_config_pb2.ModelConfig
    requests: list[service_pb2.ModelInferRequest] = field(default_factory=list)
    url: str = ""

    async def ServerMetadata(
        self, request: service_pb2.ServerMetadataRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ServerMetadataResponse:
        return service_pb2.ServerMetadataResponse(name="triton", version="2.60.0")

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[service_pb2.ModelInferRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        async for request in request_iterator:
            self.requests.append(request)
            yield service_pb2.ModelStreamInferResponse(infer_response=self._answer(request.id))
            final = service_pb2.ModelInferResponse(model_name=self.config.name, id=request.id)
            final.parameters["triton_final_response"].bool_param = True
            yield service_pb2.ModelStreamInferResponse(infer_response=final)

    def _answer(self, request_id: str) -> service_pb2.ModelInferResponse:
        response = service_pb2.ModelInferResponse(model_name=self.config.name, id=request_id)
        for output in self.config.output:
            shape = [1, 1] if self.config.max_batch_size else [1]
            response.outputs.add(name=output.name, datatype=datatype(output.data_type), shape=shape)
            dtype = _DTYPES.get(datatype(output.data_type))
            text = len(TEXT).to_bytes(4, "little") + TEXT
            response.raw_output_contents.append(text if dtype is None else np.ones(1, dtype).tobytes())
        return response


@asynccontextmanager
async def run_recording_triton(config: model_config_pb2.ModelConfig) -> AsyncIterator[RecordingTriton]:
    """The server on a free loopback port."""
    recording = RecordingTriton(config)
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(recording, server)
    recording.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield recording
    finally:
        await server.stop(grace=0)
