"""One gRPC channel to Triton: readiness, and streams of decoupled responses."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from orchestrator.errors import BackendRejectedError, BackendTimeoutError, BackendUnavailableError, GoAssistError
from orchestrator.triton import tensors

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
    # Triton is on this machine or beside it; gRPC would ask http_proxy for 127.0.0.1, too.
    ("grpc.enable_http_proxy", 0),
)
HEALTH_TIMEOUT_S = 2.0
# A stream that has begun and then stays mute for this long is given up.
STALL_TIMEOUT_S = 20.0
# Closing the stream of a request that is running can crash a server before 2.57 (server issue 8034). There it is
# cancelled by another request on the same stream, which engines/serving.py understands: all models of such a server
# are ours, since NVIDIA's vLLM backend comes with newer ones.
CANCEL_PARAMETER = "goassist_cancel"
LOST_PREFIXES = ("UNAVAILABLE: ", "INTERNAL: ", "Failed to process the request(s)", "Stub process")
SAFE_CANCEL_VERSION = (2, 57)
CANCEL_TIMEOUT_S = 1.0
MAX_UNREAD = 64  # responses of a stream that nobody has read yet; then gRPC holds the model back
_REJECTED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED)


def mapped(error: grpc.aio.AioRpcError, model: str) -> GoAssistError:
    """The error of ours for one of gRPC's; raise it from the original."""
    text = error.details() or error.code().name
    if error.code() in _REJECTED:
        return BackendRejectedError(f"the model '{model}' refused its input: {text}")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return BackendTimeoutError(f"the model '{model}' took too long")
    return BackendUnavailableError(f"the model '{model}' is unavailable: {text}")


def _refused(model: str, text: str) -> GoAssistError:
    """The error of ours for a response's.

    Triton streams errors as text alone; engines/serving.py begins those that are not the request's fault with their
    code. The header `triton_grpc_error` would give codes, but ends streams in the way that crashes older servers.
    """
    if text.startswith(LOST_PREFIXES):
        return BackendUnavailableError(f"the model '{model}' failed: {text}")
    return BackendRejectedError(f"the model '{model}' refused its input: {text}")


class InferenceStream:
    """One bidirectional stream to one model: write requests, read responses, cancel at any time.

    A task of its own reads it, so that who waits for a response may be cancelled, or give up after a time-out, without
    ending the call (as gRPC does with a cancelled read), and so that a response costs no task. The task ends with the
    call.
    """

    def __init__(self, stub: service_pb2_grpc.GRPCInferenceServiceStub, model: str) -> None:
        self._model = model
        self._requests: asyncio.Queue[service_pb2.ModelInferRequest | None] = asyncio.Queue()
        self._call = stub.ModelStreamInfer(self._written())
        self._unread: deque[service_pb2.ModelStreamInferResponse] = deque()
        self._arrived = asyncio.Event()  # a response, or the end
        self._room = asyncio.Event()
        self._error: grpc.aio.AioRpcError | None = None
        self._receiver = asyncio.create_task(self._receive(), name=f"receive from {model}")
        self._receiver.add_done_callback(lambda _: self._arrived.set())

    def write(self, request: service_pb2.ModelInferRequest) -> None:
        """Send a request, after those before it; the caller bounds how many are on their way."""
        self._requests.put_nowait(request)

    def end(self) -> None:
        """No more requests follow."""
        self._requests.put_nowait(None)

    def cancel(self) -> None:
        """End the stream: the model sees its requests cancelled. Harmless when it has ended."""
        self._call.cancel()
        self._receiver.cancel()

    async def read(self, timeout_s: float | None) -> service_pb2.ModelInferResponse | None:
        """The next response, None after the last; without a time-out it waits as long as the stream lives.

        Raises the GoAssistError that says what to do.
        """
        try:
            message = await self._next(timeout_s)
        except TimeoutError as error:
            raise BackendTimeoutError(f"the model '{self._model}' did not answer within {timeout_s:g} s") from error
        except grpc.aio.AioRpcError as error:
            raise mapped(error, self._model) from error
        if message is None:
            await self._check_end()
            return None
        if message.error_message:
            raise _refused(self._model, message.error_message)
        return message.infer_response

    async def drain(self) -> None:
        """Read what is left, for a moment, and end the stream: one that has ended by itself need not be cancelled."""
        try:
            with suppress(grpc.aio.AioRpcError, TimeoutError):
                async with asyncio.timeout(CANCEL_TIMEOUT_S):
                    while await self._next(None) is not None:
                        pass
        except asyncio.CancelledError:
            # Who waits here has been cancelled before, and the request that tells the model so may be on its way still.
            asyncio.get_running_loop().call_later(CANCEL_TIMEOUT_S, self.cancel)
            raise
        self.cancel()

    async def _next(self, timeout_s: float | None) -> service_pb2.ModelStreamInferResponse | None:
        if not self._unread and not self._receiver.done():
            self._arrived.clear()
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        if self._unread:
            self._room.set()
            return self._unread.popleft()
        if self._error is not None:
            raise self._error
        return None

    async def _receive(self) -> None:
        try:
            async for message in self._call:
                self._unread.append(message)
                self._arrived.set()
                while len(self._unread) >= MAX_UNREAD:
                    self._room.clear()
                    await self._room.wait()
        except grpc.aio.AioRpcError as error:
            self._error = error

    async def _check_end(self) -> None:
        """Raise why the server ended the stream, unless it ended well."""
        if await self._call.code() is not grpc.StatusCode.OK:
            text = await self._call.details()
            error = grpc.aio.AioRpcError(
                await self._call.code(), await self._call.initial_metadata(), await self._call.trailing_metadata(), text
            )
            raise mapped(error, self._model) from error

    async def _written(self) -> AsyncIterator[service_pb2.ModelInferRequest]:
        while (request := await self._requests.get()) is not None:
            yield request


class TritonClient:
    """A channel to one Triton server; create it inside the event loop that uses it."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.aio.insecure_channel(url, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._cancels_in_band: bool | None = None  # None until the server has told its version

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

    def open(self, model: str) -> InferenceStream:
        """A stream to `model`, for several requests; the caller cancels it."""
        return InferenceStream(self._stub, model)

    async def stream(
        self, model: str, inputs: Mapping[str, tensors.Array], *, timeout_s: float
    ) -> AsyncGenerator[dict[str, tensors.Array], None]:
        """Yield the responses to one request of a decoupled model; closing the generator cancels it in Triton.

        `timeout_s` is for the first response. Raises BackendRejectedError, BackendTimeoutError or
        BackendUnavailableError, each with gRPC's error as its cause.
        """
        in_band = await self._cancel_in_band()
        call = self.open(model)
        request_id = secrets.token_hex(8)
        running = True
        try:
            call.write(tensors.request(model, inputs, request_id=request_id))
            while (response := await call.read(timeout_s)) is not None:
                timeout_s = STALL_TIMEOUT_S
                if tensors.is_final(response):
                    call.end()
                    running = False
                if response.outputs:
                    yield tensors.outputs(response)
        except BackendTimeoutError:
            raise
        except GoAssistError:
            running = False
            call.end()
            raise
        finally:
            if in_band:
                if running:
                    call.write(tensors.request(model, inputs, parameters={CANCEL_PARAMETER: request_id}))
                    call.end()
                await call.drain()
            else:
                call.cancel()

    async def _cancel_in_band(self) -> bool:
        if self._cancels_in_band is None:
            try:
                answer = await self._stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=HEALTH_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                raise mapped(error, "server") from error
            version = tuple(int(part) for part in answer.version.split(".")[:2])
            self._cancels_in_band = version < SAFE_CANCEL_VERSION
        return self._cancels_in_band
