"""The command `goassist`."""

import argparse
import asyncio
import importlib
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import GoAssistError

if TYPE_CHECKING:
    from orchestrator.settings import Settings

LOGGER = logging.getLogger(__name__)

EPILOG = """
Settings are environment variables, or lines of a file .env in the working directory: .env.example lists them all.

examples:
  goassist up                                    Triton and the orchestrator on this machine, nothing else needed
  goassist up --port 9000                        the same on another port
  TRITON_URL=gpu-host:8001 goassist serve        the orchestrator alone, with a Triton elsewhere
  goassist talk question.wav --save answer.wav   ask a running server a question
"""

# Commands whose modules are loaded only when they are asked for, each with add_arguments(parser) and run(args) -> int.
ELSEWHERE = {
    "talk": ("goassist_client.talk", "talk to a running server, with sound files, text or the microphone"),
    "models": ("orchestrator.hub.command", "download the models' weights, and show which are there"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 success, 1 an error that was told, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser(arguments).parse_args(arguments)
    try:
        status: int = args.run(args)
    except GoAssistError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"goassist: {line}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="goassist",
        description="GoAssist, a self-hosted voice agent on Triton and WebRTC.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = commands.add_parser(
        "up",
        help="start Triton and the orchestrator on this machine",
        description="Start Triton as a child process, restarted if it dies, and the orchestrator. Prints the page's "
        "address once both are ready. Ctrl-C ends both, and leaves nothing behind.",
    )
    up.add_argument(
        "--profile", help="model configuration: embedded needs no GPU and no download (default: PROFILE, else embedded)"
    )
    serve = commands.add_parser(
        "serve",
        help="start the orchestrator alone, with the Triton at TRITON_URL",
        description="Start the orchestrator. It answers at once; calls are refused (503) until the Triton at "
        "TRITON_URL and its models are ready, as /readyz tells.",
    )
    for command in (up, serve):
        command.add_argument("--host", help="address to listen on (default: API_HOST, else 127.0.0.1)")
        command.add_argument("--port", type=int, help="TCP port of the page and the API (default: API_PORT, else 8081)")
        command.add_argument("--workers", type=int, help="processes that share the port (default: WORKERS, else 1)")
        command.set_defaults(run=_run)
    up.set_defaults(triton=True)
    serve.set_defaults(triton=False, profile=None)
    for name, (module, text) in ELSEWHERE.items():
        command = commands.add_parser(name, help=text)
        if name in arguments:
            loaded = importlib.import_module(module)
            loaded.add_arguments(command)
            command.set_defaults(run=loaded.run)
    return parser


def _run(args: argparse.Namespace) -> int:
    """`goassist up` and `goassist serve`."""
    # Not before they are needed: `goassist --help` answers at once, and so does a wrong setting or a port in use.
    from orchestrator import address
    from orchestrator.settings import load_settings
    from orchestrator.telemetry.logs import configure_logs

    began_s = time.monotonic()
    settings = load_settings(api_host=args.host, api_port=args.port, profile=args.profile, workers=args.workers)
    configure_logs(settings.log_level, settings.log_format)
    with address.bind(settings) as listener:
        if address.is_public(listener) and settings.api_key is None:
            LOGGER.warning("everybody who reaches this machine can call: set API_KEY, or API_HOST=127.0.0.1")

        def ready() -> None:
            _tell(f"GoAssist is ready after {time.monotonic() - began_s:.1f} s; Ctrl-C stops it.")
            _tell(f"Open {address.page_address(listener)} in a browser and talk.")

        _serve(settings, listener, ready, with_triton=args.triton)
    return 0


def _serve(settings: "Settings", listener: socket.socket, ready: Callable[[], None], *, with_triton: bool) -> None:
    import uvloop

    from orchestrator import server
    from orchestrator.workers import run_workers

    async def serve() -> None:
        stop = server.Stop()

        async def orchestrate(complete: "Settings") -> None:
            run = server.run_orchestrator if complete.workers == 1 else run_workers
            await run(complete, listener, stop, ready=ready)

        try:
            if with_triton:
                _tell(f"Starting Triton with the {settings.profile} models …")
                await server.run_with_triton(settings, stop, tell=_tell, serve=orchestrate)
            else:
                await orchestrate(settings)
        except server.Interrupted:
            pass
        _tell("Stopped.")

    server.raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
