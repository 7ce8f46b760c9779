"""What the benchmarks measure: `make bench-server PORT=8801 CPU=0`.

The orchestrator on that port and pinned to that core (--workers N: to as many from there on), Triton with the stand-in
models (or MODELS=model_repository, the embedded profile's) on the others.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from benchmarks.servers import own_cores, settle
from orchestrator.triton.embedded import EmbeddedTriton, Ports

STAND_INS = Path(__file__).parent / "model_repository"


async def serve(port: int, cpu: int, models: Path, workers: int) -> int:
    """Run both until interrupted; the orchestrator's exit status."""
    main_task = asyncio.current_task()
    assert main_task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, main_task.cancel)
    cores = os.sched_getaffinity(0)
    own = own_cores(cpu, workers)
    os.sched_setaffinity(0, cores - own or cores)
    async with EmbeddedTriton(models, ports=Ports(0, 0, 0)) as triton:
        environment = {
            **os.environ,
            "TRITON_URL": triton.grpc_url,
            "API_PORT": str(port),
            "API_HOST": "127.0.0.1",
            "MAX_CONCURRENT_SESSIONS": "400",
            "MAX_FRAME_LATENESS_MS": "10000",  # what is measured is how late it gets
            "LOG_LEVEL": "WARNING",
            "WORKERS": str(workers),
        }
        command = [sys.executable, "-m", "orchestrator", "serve"]
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        settle(own, process.pid)
        print(f"http://127.0.0.1:{port} on core {cpu}; Ctrl-C ends it", flush=True)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--models", type=Path, default=STAND_INS)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        sys.exit(asyncio.run(serve(options.port, options.cpu, options.models, options.workers)))
    except asyncio.CancelledError:
        sys.exit(0)


if __name__ == "__main__":
    main()
