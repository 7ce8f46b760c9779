"""The command: what it prints and the status it exits with."""

import asyncio
import io
import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
from goassist_client import talk
from goassist_client.events import ServerEvent
from goassist_client.sound import read_sound
from goassist_client.transcript_view import TranscriptView

from tests.clients.scripted_server import ScriptedServer


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    talk.add_arguments(parser)
    return parser.parse_args(words)


async def run(*words: str) -> int:
    # The command has a loop of its own, as a command does.
    return await asyncio.to_thread(talk.run, arguments(*words))


async def test_a_typed_turn_is_printed_with_its_latencies_and_saved(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tmp_path / "answer.wav"
    assert await run("--url", server.url, "--text", "Hello", "--save", str(answer)) == 0
    out = capsys.readouterr().out
    assert "you    Hello" in out
    assert "agent  A tone." in out
    assert "thinking → speaking" in out
    assert "ttfa 12" in out
    assert len(read_sound(answer)) == pytest.approx(0.55 * 16000, abs=0.1 * 16000)


async def test_json_is_one_document(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("--url", server.url, "--text", "one", "--text", "two", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [turn["asked"] for turn in document["turns"]] == ["one", "two"]
    assert [turn["answer"] for turn in document["turns"]] == ["A tone.", "A tone."]
    assert document["turns"][0]["server_ms"]["ttfa"] == 12.5
    assert document["call_id"] == "rtc_1"


async def test_a_question_without_an_answer_is_exit_status_1(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silence = tmp_path / "silence.wav"
    talk.write_wav(silence, read_sound(Path(__file__).parents[1] / "audio" / "right.wav")[:160], 16000)
    unsaved = tmp_path / "answer.wav"
    status = await run("--url", server.url, str(silence), "--timeout", "0.3", "--save", str(unsaved))
    assert status == 1
    printed = capsys.readouterr()
    assert "no answer (unanswered)" in printed.out
    assert "made no sound" in printed.err
    assert not unsaved.exists()


async def test_a_missing_file_is_exit_status_2_before_any_call(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("--url", server.url, "nothing.wav") == 2
    assert "nothing.wav: no such file" in capsys.readouterr().err
    assert server.offers == []


async def test_no_server_is_exit_status_2_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("--url", "http://127.0.0.1:9", "--text", "Hello") == 2
    assert "make demo" in capsys.readouterr().err


async def test_waiting_outlasts_a_server_that_is_not_ready(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refusals.append((503, json.dumps({"error": {"message": "asr is loading"}}), {"Retry-After": "1"}))
    assert await run("--url", server.url, "--text", "Hello", "--wait", "10") == 0
    assert "Asr is loading. Try again in 1 s." in capsys.readouterr().err


async def test_a_microphone_without_sounddevice_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert await run() == 2
    assert "pip install 'goassist[microphone]'" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def event(event_type: str, at_s: float = 1.0, **fields: object) -> ServerEvent:
    return ServerEvent(event_type, at_s, {"type": event_type, **fields})


def test_a_terminal_sees_words_while_they_are_spoken() -> None:
    terminal = Terminal()
    view = TranscriptView(terminal)
    view.show(event("goassist.transcript", text="what", stable_chars=0))
    view.show(event("goassist.transcript", text="what time", stable_chars=4))
    assert terminal.getvalue().endswith("\r\x1b[K" + " " * 10 + "you    what time")
    view.show(event("conversation.item.input_audio_transcription.completed", transcript="what time is it"))
    assert terminal.getvalue().endswith("\r\x1b[K   1.00 s you    what time is it\n")


def test_a_file_sees_only_what_is_final() -> None:
    out = io.StringIO()
    view = TranscriptView(out)
    view.show(event("goassist.transcript", text="what", stable_chars=0))
    view.show(event("response.output_audio_transcript.delta", delta="It is"))
    view.show(event("response.output_audio_transcript.delta", delta=" four."))
    assert out.getvalue() == ""
    view.show(event("response.done", response={"status": "cancelled"}))
    assert out.getvalue() == "   1.00 s agent  It is four. [interrupted]\n"


def test_what_failed_is_printed_of_an_answer_and_of_words() -> None:
    out = io.StringIO()
    view = TranscriptView(out)
    error = {"type": "server_error", "message": "The model was lost."}
    view.show(event("response.output_audio_transcript.delta", delta="It is"))
    view.show(event("response.done", response={"status": "failed", "status_details": {"error": error}}))
    view.show(event("response.done", response={"status": "failed", "status_details": None}))
    view.show(event("conversation.item.input_audio_transcription.failed", item_id="item_1", error=error))
    assert out.getvalue().splitlines() == [
        "   1.00 s agent  It is",
        "   1.00 s error  The model was lost.",
        "   1.00 s error  the response ended early",
        "   1.00 s error  The model was lost.",
    ]
