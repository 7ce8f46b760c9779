"""Whether every model of a server answers: `python3 -m engines.health`, the containers' health check.

A decoupled model whose process has died is not started again by Triton, which goes on saying that the model is ready:
its python_backend restarts the others only (src/python_be.cc). So each model is asked for something small.

It exits with 0 where all of them answer, otherwise with 1 and the reasons. A model that says itself that it cannot
serve now is alive: a restart would not bring Deepgram back. With `--end PID` a server whose model does not answer
ATTEMPTS times in a row is ended, so that the container's restart policy begins it anew; PID is the container's first
process, 1. A server that is not ready, because it still loads, is never ended.
"""

import os
import signal
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from secrets import randbits

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from engines.calls import Tensors, text
from orchestrator.triton import tensors

ATTEMPTS, PAUSE_S = 3, 2.0
SERVER_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 20.0  # of a model that is very busy

_SILENCE = np.zeros(160, np.int16)
# For each model what costs it next to nothing. Models that are not ours are not asked.
QUESTIONS: Mapping[str, Tensors] = {
    "asr": {"audio": _SILENCE[np.newaxis]},
    "llm": {"text_input": text("-"), "sampling_parameters": text('{"max_tokens": 1}')},
    "speech_to_speech": {"audio": _SILENCE},
    "tts": {"text": text(".")},
    "turn": {"audio": _SILENCE[np.newaxis]},
}
# How errors begin that tell of a process that has died or of an engine that is broken: Triton's, those of
# engines/serving.py, and those of NVIDIA's vLLM backend.
_BROKEN = ("Failed to process the request(s)", "Stub process", "INTERNAL: ", "Error generating stream")


def broken(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> dict[str, str]:
    """The models that do not answer, and why; grpc.RpcError where the server itself does not."""
    loaded = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), timeout=SERVER_TIMEOUT_S)
    names = sorted({model.name for model in loaded.models} & QUESTIONS.keys())
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        reasons = pool.map(lambda name: _reason(stub, name), names)
        return {name: reason for name, reason in zip(names, reasons, strict=True) if reason}


def end(pid: int) -> None:
    """End the server that a container's first process is, or has started (`init: true`)."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread or a child that has ended meanwhile
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGKILL)  # it may be stuck, as its model is
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _reason(stub: service_pb2_grpc.GRPCInferenceServiceStub, model: str) -> str | None:
    control = {"sequence_id": randbits(62) + 1, "sequence_start": True, "sequence_end": True} if model == "asr" else {}
    request = tensors.request(model, QUESTIONS[model], parameters=control)
    try:
        for response in stub.ModelStreamInfer(iter([request]), timeout=ANSWER_TIMEOUT_S):
            if response.error_message:
                return response.error_message if response.error_message.startswith(_BROKEN) else None
            if tensors.is_final(response.infer_response):
                return None
    except grpc.RpcError as error:
        return _said(error)
    return "the stream ended without an answer"


def _said(error: grpc.RpcError) -> str:
    return str(error.details() if isinstance(error, grpc.Call) else error)


def main() -> None:
    """Check, and again after a pause while a model does not answer."""
    parser = ArgumentParser(prog="python3 -m engines.health", description="Whether every model of a server answers.")
    parser.add_argument("--url", default="127.0.0.1:8001", help="the server's gRPC service (default: %(default)s)")
    parser.add_argument("--end", type=int, metavar="PID", help="end a server whose model does not answer")
    options = parser.parse_args()
    channel = grpc.insecure_channel(options.url, options=(("grpc.enable_http_proxy", 0),))
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    reasons: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            if not stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=SERVER_TIMEOUT_S).ready:
                raise SystemExit(f"the server at {options.url} is not ready")
            reasons = broken(stub)
        except grpc.RpcError as error:
            raise SystemExit(f"the server at {options.url} cannot be asked: {_said(error)}") from error
        if not reasons:
            return
    if options.end is not None:
        end(options.end)
    raise SystemExit("\n".join(f"the model '{name}' does not answer: {why}" for name, why in reasons.items()))


if __name__ == "__main__":
    main()
