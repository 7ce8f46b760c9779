"""`goassist talk`: speak to a running server from the command line, with sound files, typed text or a microphone."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from goassist_client.client import VoiceClient
from goassist_client.devices import Devices
from goassist_client.errors import CallError, ConnectionLostError, ServerBusyError
from goassist_client.recording import SAMPLE_RATE
from goassist_client.sound import read_sound, write_wav
from goassist_client.transcript_view import TranscriptView
from goassist_client.turn import Turn, answers_as_sound, ask, ask_in_writing

DEFAULT_URL = "http://127.0.0.1:8081"

EXIT_ANSWERED, EXIT_NO_ANSWER, EXIT_NO_CALL = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `goassist talk` takes."""
    parser.description = (
        "Talk to a running GoAssist server. Each file is played as a microphone over WebRTC and is one turn of the "
        "conversation; without files and text the machine's own microphone and loudspeaker are used. "
        "Exit status: 0 every question was answered, 1 one was not, 2 there was no call or no usable sound."
    )
    parser.add_argument("files", nargs="*", metavar="question.wav", help="sound to say, any rate and channels")
    parser.add_argument("--text", action="append", default=[], metavar="TEXT", help="type a turn (after the files)")
    parser.add_argument("--save", metavar="answer.wav", help="write the answers' sound to this WAV file")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument(
        "--url",
        default=os.environ.get("GOASSIST_URL", DEFAULT_URL),
        help="the server (default: GOASSIST_URL, else %(default)s)",
    )
    parser.add_argument("--voice", help="the agent's voice (default: the server's)")
    parser.add_argument("--instructions", help="what the agent is told to be (default: the server's)")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="longest wait for an answer (20)")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="wait so long for a busy server (0)")


def run(args: argparse.Namespace) -> int:
    """Carry out `goassist talk`; returns the exit status."""
    try:
        return asyncio.run(_talk(args))
    except CallError as error:
        sys.stderr.write(f"goassist talk: {error}\n")
        return EXIT_NO_ANSWER if isinstance(error, ConnectionLostError) else EXIT_NO_CALL
    except KeyboardInterrupt:
        # With the microphone this is how one hangs up; with questions it leaves them unanswered.
        return EXIT_NO_ANSWER if args.files or args.text else EXIT_ANSWERED


async def _talk(args: argparse.Namespace) -> int:
    view = None if args.json else TranscriptView(sys.stdout)
    sounds = [read_sound(path) for path in args.files]
    if not sounds and not args.text:
        await _talk_by_microphone(args, view)
    client = await _connected(args, view, None)
    turns: list[Turn] = []
    try:
        for sound in sounds:
            turns.append(await ask(client, sound, timeout_s=args.timeout))
            _summarise(view, turns[-1])
        for text in args.text:
            if view:
                view.line(f"you    {text}", client.now())
            turns.append(await ask_in_writing(client, text, timeout_s=args.timeout))
            _summarise(view, turns[-1])
    finally:
        await client.close()
        if view:
            view.close()
    saved = _save(args.save, client, turns)
    if view and saved:
        view.line(f"the answer's sound is in {saved}")
    if args.json:
        document = {"url": args.url, "call_id": client.call_id, "turns": [t.as_json() for t in turns], "saved": saved}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    return EXIT_ANSWERED if all(_answered(turn) for turn in turns) else EXIT_NO_ANSWER


async def _talk_by_microphone(args: argparse.Namespace, view: TranscriptView | None) -> NoReturn:
    devices = Devices()
    client = await _connected(args, view, devices)
    try:
        with devices:
            if view:
                view.line("speak; Ctrl-C hangs up")
            raise ConnectionLostError(await client.wait_until_lost())
    finally:
        if args.save:
            write_wav(args.save, client.heard.samples(), SAMPLE_RATE)
        await client.close()
        if view:
            view.close()


async def _connected(args: argparse.Namespace, view: TranscriptView | None, devices: Devices | None) -> VoiceClient:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + args.wait
    while True:
        client = VoiceClient(
            args.url,
            session=_session(args.voice, args.instructions),
            api_key=os.environ.get("GOASSIST_API_KEY") or os.environ.get("API_KEY"),
            live=devices.frame if devices else None,
            on_event=view.show if view else None,
            on_sound=devices.hear if devices else None,
        )
        try:
            await client.connect()
        except ServerBusyError as error:
            if loop.time() + error.retry_after_s > deadline:
                raise
            sys.stderr.write(f"goassist talk: {error}\n")
            await asyncio.sleep(error.retry_after_s)
        else:
            if view:
                view.line(f"connected to {args.url}, call {client.call_id}", client.now())
            return client


def _session(voice: str | None, instructions: str | None) -> dict[str, object] | None:
    session: dict[str, object] = {}
    if voice:
        session["audio"] = {"output": {"voice": voice}}
    if instructions:
        session["instructions"] = instructions
    return {"type": "realtime", **session} if session else None


def _answered(turn: Turn) -> bool:
    return turn.status == "completed" and bool(turn.answer)


def _summarise(view: TranscriptView | None, turn: Turn) -> None:
    if view:
        view.summary(turn)
    elif not _answered(turn):
        sys.stderr.write(f"goassist talk: no answer ({turn.status}): {turn.error}\n")


def _save(path: str | None, client: VoiceClient, turns: Sequence[Turn]) -> str | None:
    if path is None:
        return None
    samples = answers_as_sound(client, turns)
    if len(samples) == 0:
        sys.stderr.write(f"goassist talk: {path} is not written, for the agent made no sound\n")
        return None
    write_wav(path, samples, SAMPLE_RATE)
    return path


def main() -> int:
    """`python -m goassist_client.talk`."""
    parser = argparse.ArgumentParser(prog="goassist talk")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
