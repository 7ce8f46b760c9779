"""pipecat with the stand-ins of the benchmarks: an agent per `POST /offer`, what it has used so far at `GET /stats`.

Runs in pipecat's own environment (deploy/setup/peers.sh pipecat), as pipecat's examples do: one pipeline a call, its
WebRTC transport, its Silero voice detection, its sentence aggregation, everything at its defaults. `--turn` chooses
what ends the user's turn: `smart` is pipecat's default (its turn model), `vad` its voice detection alone, with no
time-out.
"""

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from aiohttp import web
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from benchmarks import standins

PAGE_SIZE = resource.getpagesize()


async def until(deadline_s: float) -> None:
    """Sleep until then, by the monotonic clock."""
    if (left_s := deadline_s - time.monotonic()) > 0:
        await asyncio.sleep(left_s)


class Recogniser(STTService):  # type: ignore[misc]  # mypy does not run in pipecat's environment
    """A final transcript a fixed time after voice detection says that the speaker has stopped."""

    def __init__(self) -> None:
        super().__init__(ttfs_p99_latency=0.25, settings=STTSettings(model="stand-in", language=None))

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Take the sound, as a streaming recogniser does."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Ask for the transcript when the speaker has stopped."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self.create_task(self._transcribe())

    async def _transcribe(self) -> None:
        await asyncio.sleep(standins.FINAL_S)
        await self.push_frame(TranscriptionFrame(standins.SENTENCE, "user", str(time.time()), finalized=True))


class LanguageModel(FrameProcessor):  # type: ignore[misc]
    """The answer, token by token; an interruption ends it."""

    def __init__(self) -> None:
        super().__init__()
        self._writing: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer every context that comes."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame | InterruptionFrame):
            await self._stop()
        if isinstance(frame, LLMContextFrame):
            self._writing = self.create_task(self._write())
        else:
            await self.push_frame(frame, direction)

    async def _stop(self) -> None:
        if self._writing is not None and not self._writing.done():
            await self.cancel_task(self._writing)
        self._writing = None

    async def _write(self) -> None:
        started = time.monotonic()
        await self.push_frame(LLMFullResponseStartFrame())
        for index, token in enumerate(standins.TOKENS):
            await until(started + standins.token_s(index))
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(TTSService):  # type: ignore[misc]
    """A tone as long as each sentence, chunk by chunk."""

    def __init__(self) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=standins.SAMPLE_RATE,
            settings=TTSSettings(model="stand-in", voice="tone", language=None),
        )

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """The sound of one sentence."""
        started, chunk = time.monotonic(), standins.CHUNK.tobytes()
        for index in range(standins.chunks(text)):
            await until(started + standins.chunk_s(index))
            yield TTSAudioRawFrame(chunk, standins.SAMPLE_RATE, 1, context_id=context_id)


def turn_strategies(turn: str) -> UserTurnStrategies:
    """What begins and ends the user's turn."""
    if turn == "smart":
        return UserTurnStrategies()
    return UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)])


async def converse(connection: SmallWebRTCConnection, turn: str) -> None:
    """One call, until the caller goes."""
    transport = SmallWebRTCTransport(
        webrtc_connection=connection, params=TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=turn_strategies(turn)
        ),
    )
    stages = [transport.input(), Recogniser(), user, LanguageModel(), Voice(), transport.output(), assistant]
    runner = WorkerRunner(handle_sigint=False)
    params = PipelineParams(audio_out_sample_rate=standins.SAMPLE_RATE)
    await runner.add_workers(PipelineWorker(Pipeline(stages), params=params))

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def gone(_transport: object, _client: object) -> None:
        await runner.cancel()

    await runner.run()


def resident_bytes() -> int:
    """This process's memory (RSS)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE


def application(turn: str) -> web.Application:
    """The HTTP side."""
    calls: set[asyncio.Task[None]] = set()

    async def offer(request: web.Request) -> web.Response:
        body = await request.json()
        connection = SmallWebRTCConnection()
        await connection.initialize(sdp=body["sdp"], type=body["type"])
        call = asyncio.create_task(converse(connection, turn))
        calls.add(call)
        call.add_done_callback(calls.discard)
        answer = connection.get_answer()
        return web.json_response({"sdp": answer["sdp"], "type": answer["type"]})

    async def stats(_: web.Request) -> web.Response:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return web.json_response({"cpu_s": used.ru_utime + used.ru_stime, "rss": resident_bytes()})

    app = web.Application()
    app.add_routes([web.post("/offer", offer), web.get("/stats", stats)])
    return app


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipecat_server", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--turn", choices=["smart", "vad"], default="smart")
    options = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    web.run_app(application(options.turn), host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
