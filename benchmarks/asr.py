"""Speech recognition: Whisper batched against unbatched, and the time to answer a chunk as streams get more.

Whisper's weights are random: how long a window takes does not depend on their numbers, though a random model writes
more than a real one, up to the limit for its sound. `deploy/setup/engines.sh cpu` (or whisper) sets up what it needs;
without it only the chunks of pocketsphinx are measured.

usage: .venv/bin/python benchmarks/asr.py [batching] [chunks]
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

ENVIRONMENTS = [ROOT / ".venvs" / name for name in ("whisper", "cpu")]
SPEECH = ROOT / "tests" / "audio" / "history_of_music.wav"
STREAMS = 16
ROUNDS = 2
SPOKEN_S = 1.0
"""Each stream says so much, asks for the best hypothesis, waits for it, and goes on."""
CHUNK_STREAMS = (1, 20, 100)
CHUNK_S, CHUNK_BYTES, CHUNKS_S = 0.16, 5_120, 6.0


def p95(values: list[float]) -> float:
    """The 95th percentile, the largest of fewer than 20 values."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


# Batched against unbatched: runs in the whisper environment, on the engine itself -----------------------------------


def batching(weights: Path, max_batch: int) -> dict[str, float]:
    """16 streams, each with a request under way all the time."""
    from engines.faster_whisper import FasterWhisper
    from engines.transcriber import Ask, Hypothesis, Piece
    from engines.whisper import Limits, Whisper

    whisper = Whisper(weights, limits=Limits(log_probability=-1e9, compression=1e9))
    engine = FasterWhisper(whisper, max_batch=max_batch)
    whisper.calls = 0
    size = int(SPOKEN_S * 32_000)
    with wave.open(str(SPEECH)) as file:
        sound = file.readframes(file.getnframes())
    pieces = [sound[number * size : (number + 1) * size] for number in range(ROUNDS)]
    took: list[float] = []

    def speak() -> None:
        utterance = engine.open(language=None, hotwords=None)
        answers: SimpleQueue[Hypothesis | BaseException] = SimpleQueue()
        for piece in pieces:
            begun = time.perf_counter()
            engine.transcribe([Piece(utterance, piece, Ask.FLUSH, lambda answer, _: answers.put(answer))])
            if isinstance(answer := answers.get(), BaseException):
                raise answer
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    threads = [threading.Thread(target=speak) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - begun
    engine.close()
    return {"calls": whisper.calls, "per_s": len(took) / wall_s, "p50_s": statistics.median(took), "p95_s": p95(took)}


# Chunks: through Triton, at the pace of speech ----------------------------------------------------------------------


async def chunks(url: str, streams: int) -> dict[str, float]:
    """Each stream sends 160 ms of speech every 160 ms."""
    from orchestrator.triton.asr import Transcript, TritonAsr
    from orchestrator.triton.client import TritonClient

    with wave.open(str(SPEECH)) as file:
        sound = file.readframes(file.getnframes())
    pieces = [sound[start : start + CHUNK_BYTES] for start in range(0, len(sound) - CHUNK_BYTES, CHUNK_BYTES)]
    pieces = (pieces * 10)[: int(CHUNKS_S / CHUNK_S)]
    took: list[float] = []
    loop = asyncio.get_running_loop()
    client = TritonClient(url)

    async def speak(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        sent: deque[float] = deque()
        answered = asyncio.Event()

        def heard(_: Transcript) -> None:
            took.append(loop.time() - sent.popleft())
            if not sent:
                answered.set()

        async with TritonAsr(client).utterance(on_partial=heard) as utterance:
            begun = loop.time()
            for number, piece in enumerate(pieces):
                await asyncio.sleep(max(0.0, begun + number * CHUNK_S - loop.time()))
                sent.append(loop.time())
                answered.clear()
                utterance.send(piece)
            await answered.wait()

    await asyncio.gather(*(speak(number * CHUNK_S / streams) for number in range(streams)))
    await client.close()
    return {"p50_ms": 1e3 * statistics.median(took), "p95_ms": 1e3 * p95(took), "chunks": len(took)}


async def serve_chunks(repository: Path, profile: str, python: Path | None) -> list[dict[str, float]]:
    """The figures for each number of streams, one server for all."""
    from orchestrator.triton.embedded import EmbeddedTriton, Ports

    async with EmbeddedTriton(repository, config_name=profile, ports=Ports(0, 0, 0), python=python) as triton:
        return [{"streams": count, **await chunks(triton.grpc_url, count)} for count in CHUNK_STREAMS]


def recognition(repository: Path, weights: Path | None) -> Path:
    """A repository of asr alone; with `weights` its profile cpu is on those."""
    model = shutil.copytree(ROOT / "model_repository" / "asr", repository / "asr")
    if weights is None:
        return repository
    profile = model / "configs" / "cpu.pbtxt"
    changed = {"model_path": str(weights), "log_prob_threshold": "-1000", "compression_ratio_threshold": "1000"}
    lines = [line for line in profile.read_text().splitlines() if 'key: "model_path"' not in line]
    lines += [f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}' for name, value in changed.items()]
    profile.write_text("\n".join(lines))
    return repository


def table(rows: list[dict[str, Any]]) -> None:
    """Print rows of figures in columns."""
    names = list(rows[0])
    cells = [[f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in names] for row in rows]
    for line in [names, *cells]:
        print("  ".join(f"{cell:>10}" for cell in line))


def main() -> None:
    """Make the weights, run what was asked for, print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["batching", "chunks", []], default=[])
    parser.add_argument("--engine", nargs=2, metavar=("WEIGHTS", "MAX_BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(batching(Path(options.engine[0]), int(options.engine[1]))))
        return
    environment = next((folder for folder in ENVIRONMENTS if (folder / "ready").is_file()), None)
    parts = options.parts or ["batching", "chunks"]
    if environment is None and parts != ["chunks"]:
        sys.exit("Whisper's batching needs .venvs/cpu: deploy/setup/engines.sh cpu makes it")
    with tempfile.TemporaryDirectory() as folder:
        make = ROOT / "tests" / "engines_heavy" / "tiny" / "whisper.py"
        if environment is not None:
            python = environment / "bin" / "python"
        if "batching" in parts:
            base = Path(folder) / "base"
            subprocess.run([python, make, base, "base"], check=True)
            rows = []
            for name, max_batch in (("unbatched", 1), ("batched", STREAMS)):
                command = [str(python), __file__, "--engine", str(base), str(max_batch)]
                figures = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                rows.append({"": name, **json.loads(figures)})
            print(f"{STREAMS} streams, Whisper base (random weights), int8, CPU:")
            table(rows)
            print(f"batched / unbatched: {rows[1]['per_s'] / rows[0]['per_s']:.2f} times the throughput\n")
        if "chunks" in parts:
            print("Chunks of 160 ms through Triton, pocketsphinx (profile embedded):")
            table(asyncio.run(serve_chunks(recognition(Path(folder) / "embedded", None), "embedded", None)))
        if "chunks" in parts and environment is not None:
            tiny = Path(folder) / "tiny"
            subprocess.run([python, make, tiny], check=True)
            print("The same, a tiny Whisper (random weights; profile cpu):")
            table(asyncio.run(serve_chunks(recognition(Path(folder) / "cpu", tiny), "cpu", environment)))


if __name__ == "__main__":
    main()
