"""One gRPC channel to Triton: readiness now, decoupled streams below."""

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

# A dead peer is noticed within 15 s even when nothing is being sent. Reconnecting is quick: a restarted
# server must not wait for gRPC's default back-off of up to two minutes.
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
HEALTH_TIMEOUT_S = 2.0


class TritonClient:
    """A channel to one Triton server; create it inside the event loop that uses it."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.aio.insecure_channel(url, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def close(self) -> None:
        """Cancels what is open and closes the channel."""
        await self._channel.close()

    async def server_ready(self) -> bool:
        """Whether the server and all of its models are ready; False when it cannot be reached."""
        try:
            answer = await self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def model_ready(self, name: str) -> bool:
        """Whether one model is ready; False when the server cannot be reached or has no such model."""
        try:
            answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=name), timeout=HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)
