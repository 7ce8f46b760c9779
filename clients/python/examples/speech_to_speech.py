"""A whole turn with Triton alone: a WAV file in, the agent's words and voice out while they are made.

    pip install "tritonclient[grpc]"
    python clients/python/examples/speech_to_speech.py question.wav --save answer.wav

The file is 16 kHz, mono, 16 bit. Ctrl-C cancels the turn in the server.
"""

import argparse
import json
import queue
import sys
import wave
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

MODEL = "speech_to_speech"
SAMPLE_RATE = 16_000
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Piece:
    """One response: an event (its `type` is transcript, text_delta, done or error), or INT16 sound, or neither."""

    event: dict[str, Any] | None
    audio: npt.NDArray[np.int16]
    sample_rate: int


def converse(url: str, audio: npt.NDArray[np.int16], **texts: str | None) -> Generator[Piece, None, None]:
    """Yield the answer to one user turn as it is made; closing the iterator cancels it.

    `texts`: messages (JSON), instructions, voice. InferenceServerException for a request that cannot be served.
    """
    inputs = [triton.InferInput("audio", [len(audio)], "INT16").set_data_from_numpy(audio)]
    for name, text in texts.items():
        if text is not None:
            tensor = np.array([text.encode()], dtype=np.object_)
            inputs.append(triton.InferInput(name, [1], "BYTES").set_data_from_numpy(tensor))
    arrived: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    request_id = uuid4().hex
    running = True
    with triton.InferenceServerClient(url) as client:
        client.start_stream(lambda result, error: arrived.put((result, error)))
        try:
            client.async_stream_infer(MODEL, inputs, request_id=request_id, enable_empty_final_response=True)
        except InferenceServerException as error:
            raise _reason(arrived, error) from error
        try:
            while running:
                result, error = arrived.get(timeout=TIMEOUT_S)
                if error is not None:
                    running = False
                    raise error
                response = result.get_response()
                running = not response.parameters["triton_final_response"].bool_param
                if response.outputs:
                    text = result.as_numpy("event")[0].decode()
                    event = json.loads(text) if text else None
                    yield Piece(event, result.as_numpy("audio"), int(result.as_numpy("sample_rate")[0]))
        finally:
            if running:  # docs/models.md says why a cancellation is a request
                client.async_stream_infer(MODEL, inputs, parameters={"goassist_cancel": request_id})
                _read_out(arrived)
            client.stop_stream()


def _reason(arrived: "queue.SimpleQueue[tuple[Any, Any]]", error: InferenceServerException) -> Exception:
    """Why a request could not be sent: of a stream that failed before, only the callback is told."""
    try:
        _, reason = arrived.get(timeout=1.0)
    except queue.Empty:
        return error
    return reason or error


def _read_out(arrived: "queue.SimpleQueue[tuple[Any, Any]]") -> None:
    """Wait for the end of a request that was cancelled."""
    while True:
        result, error = arrived.get(timeout=TIMEOUT_S)
        if error is not None or result.get_response().parameters["triton_final_response"].bool_param:
            return


def read_wav(path: str) -> npt.NDArray[np.int16]:
    """The samples of a 16 kHz mono 16 bit file; SystemExit says what is wrong with another."""
    try:
        with wave.open(path) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                raise SystemExit(f"{path} must be 16 kHz, mono, 16 bit: ffmpeg -i {path} -ar 16000 -ac 1 question.wav")
            return np.frombuffer(file.readframes(file.getnframes()), np.dtype("<i2"))
    except (OSError, EOFError, wave.Error) as error:
        raise SystemExit(f"{path} cannot be read as a WAV file: {error}") from error


def main() -> int:
    """Ask as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description="Ask Triton's speech_to_speech model a question.")
    parser.add_argument("question", help="WAV file, 16 kHz mono")
    parser.add_argument("--url", default="localhost:8001", help="Triton's gRPC address (default: %(default)s)")
    parser.add_argument("--save", metavar="ANSWER.WAV", help="write the answer's sound there")
    parser.add_argument("--voice")
    parser.add_argument("--instructions", help="what the agent is told to be")
    parser.add_argument("--messages", help='earlier turns: [{"role": "user", "content": "…"}, …]')
    args = parser.parse_args()
    texts = {"voice": args.voice, "instructions": args.instructions, "messages": args.messages}
    try:
        with closing(converse(args.url, read_wav(args.question), **texts)) as pieces:
            return tell(pieces, args.save)
    except InferenceServerException as error:
        print(error.message(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def tell(pieces: Iterator[Piece], save: str | None) -> int:
    """Print the answer as it is written, and save its sound; returns the exit status."""
    sound: list[npt.NDArray[np.int16]] = []
    sample_rate, status = SAMPLE_RATE, 0
    for piece in pieces:
        if len(piece.audio):
            sound.append(piece.audio)
            sample_rate = piece.sample_rate
        match piece.event:
            case {"type": "transcript", "text": text}:
                print(f"You: {text}\nAgent: ", end="", flush=True)
            case {"type": "text_delta", "delta": delta}:
                print(delta, end="", flush=True)
            case {"type": "error", "message": message}:
                print(f"\n{message}", file=sys.stderr)
                status = 1
    print()
    if save and sound:
        with wave.open(save, "wb") as file:
            file.setparams((1, 2, sample_rate, 0, "NONE", "not compressed"))
            file.writeframes(np.concatenate(sound).astype("<i2").tobytes())
    return status


if __name__ == "__main__":
    sys.exit(main())
