"""`goassist models` as it is called, against a hub on loopback."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.__main__ import main
from orchestrator.hub.command import size_of
from tests.hub.conftest import KOKORO, TURN, content
from tests.servers.hub import COMMIT, HubServer

MODEL = "smart-turn-v3.0.onnx"


class Goassist:
    """Runs `goassist models …` in this process, into a folder of its own."""

    def __init__(self, into: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.into = into
        self._capsys = capsys

    def models(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, what was written, and what was complained of."""
        status = main(["models", *arguments, "--into", str(self.into)])
        written = self._capsys.readouterr()
        return status, written.out, written.err

    def files(self) -> dict[str, bytes]:
        """All that is in the folder and visible."""
        return {
            path.relative_to(self.into).as_posix(): path.read_bytes()
            for path in self.into.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


@pytest.fixture
def goassist(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Goassist:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "XTTS_LICENSE_ACCEPTED"):
        monkeypatch.delenv(name, raising=False)
    return Goassist(tmp_path / "models", capsys)


def test_a_model_is_pulled_with_the_files_it_needs(goassist: Goassist) -> None:
    status, out, _ = goassist.models("pull", "kokoro")

    assert status == 0
    assert goassist.files() == {
        "kokoro/onnx/model.onnx": content(500_000, 2),
        "kokoro/tokenizer.json": b"{}",
        "kokoro/voices/af_heart.bin": content(2000, 3),
        "kokoro/voices/bm_george.bin": content(2000, 4),
        "kokoro/README.md": b"Kokoro",
    }
    assert "kokoro: 504 kB to download (Apache-2.0)" in out
    assert "kokoro/onnx/model.onnx: 500 kB" in out
    assert json.loads((goassist.into / "kokoro/.pulled.json").read_text())["commit"] == COMMIT


def test_a_profile_is_pulled_whole(goassist: Goassist) -> None:
    assert goassist.models("pull", "--profile", "embedded")[0] == 0
    assert set(goassist.files()) == {f"turn/{MODEL}", "turn/README.md"}


def test_what_is_there_is_not_downloaded_again(hub: HubServer, goassist: Goassist) -> None:
    goassist.models("pull", "turn")
    hub.requests.clear()
    status, out, _ = goassist.models("pull", "turn")
    assert status == 0
    assert "turn: is here" in out
    assert hub.files_asked() == []


def test_a_file_that_came_some_other_way_is_taken_if_its_checksum_is_right(hub: HubServer, goassist: Goassist) -> None:
    target = goassist.into / "turn" / MODEL
    target.parent.mkdir(parents=True)
    target.write_bytes(content(300_000))
    assert goassist.models("pull", "turn")[0] == 0
    assert hub.files_asked() == [("README.md", None)]

    target.write_bytes(content(300_000, 9))
    (target.parent / ".pulled.json").unlink()
    assert goassist.models("pull", "turn")[0] == 0
    assert target.read_bytes() == content(300_000)


def test_a_copy_is_verified(hub: HubServer, goassist: Goassist, tmp_path: Path) -> None:
    goassist.models("pull", "turn")
    shutil.copytree(goassist.into, tmp_path / "copy")
    goassist.into = tmp_path / "copy"
    (goassist.into / "turn" / MODEL).write_bytes(content(300_000, 9))
    hub.requests.clear()
    assert goassist.models("pull", "turn")[0] == 0
    assert hub.files_asked() == [(MODEL, None)]
    assert goassist.files()[f"turn/{MODEL}"] == content(300_000)


@pytest.mark.parametrize("record", ["", '{"repo": "pipecat-ai/sm'])
def test_a_record_that_was_cut_short_is_made_anew(hub: HubServer, goassist: Goassist, record: str) -> None:
    goassist.models("pull", "turn")
    path = goassist.into / "turn" / ".pulled.json"
    path.write_text(record)
    hub.requests.clear()
    assert goassist.models("list")[1].splitlines()[1].endswith("  here")
    assert goassist.models("pull", "turn")[0] == 0
    assert hub.files_asked() == []
    assert json.loads(path.read_text())["commit"] == COMMIT


def test_a_newer_commit_brings_only_what_changed(hub: HubServer, goassist: Goassist) -> None:
    goassist.models("pull", "turn")
    hub.requests.clear()
    hub.repositories[TURN].files = {**hub.repositories[TURN].files, "README.md": b"Smarter"}
    assert goassist.models("pull", "turn")[0] == 0
    assert hub.files_asked() == [("README.md", None)]
    assert goassist.files()["turn/README.md"] == b"Smarter"


def test_a_broken_download_is_resumed(hub: HubServer, goassist: Goassist) -> None:
    hub.faults.cut_after = [100_000]
    assert goassist.models("pull", "turn")[0] == 0
    assert (MODEL, "bytes=100000-") in hub.files_asked()
    assert goassist.files()[f"turn/{MODEL}"] == content(300_000)
    assert list(goassist.into.rglob("*.part")) == []


def test_a_killed_download_is_resumed_by_the_next_run(hub: HubServer, goassist: Goassist) -> None:
    # The connection breaks at once again and again: time enough to kill the process between two attempts.
    hub.faults.cut_after = [100_000, *[0] * 3]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "models", "pull", "turn", "--into", str(goassist.into)],
        stdout=subprocess.PIPE,
        env=os.environ | {"HF_ENDPOINT": hub.endpoint},
    )
    try:
        while not any(path.stat().st_size == 100_000 for path in goassist.into.rglob("*.part")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate(timeout=20)
    assert f"turn/{MODEL}" not in goassist.files(), "a file has its name only when it is whole"

    assert goassist.models("list")[1].splitlines()[1].endswith("100 kB here, incomplete")
    hub.requests.clear()
    hub.faults.cut_after = []
    assert goassist.models("pull", "turn")[0] == 0
    assert (MODEL, "bytes=100000-") in hub.files_asked()
    assert goassist.files()[f"turn/{MODEL}"] == content(300_000)


def test_on_a_terminal_a_bar_shows_how_much_has_come(hub: HubServer, goassist: Goassist) -> None:
    hub.faults.cut_after = [150_000]
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "models", "pull", "turn", "--into", str(goassist.into)],
        stdout=end,
        stderr=end,
        env=os.environ | {"HF_ENDPOINT": hub.endpoint},
    )
    os.close(end)
    shown = b""
    with suppress(OSError), open(terminal, "rb", buffering=0) as screen:  # Linux ends a terminal by an error
        while piece := screen.read(4096):
            shown += piece
    assert process.wait(timeout=20) == 0
    bars = [line for line in re.split(rb"[\r\n]+", shown) if line.startswith(f"turn/{MODEL}:".encode())]
    assert b" 0%|" in bars[0]
    assert b"100%|" in bars[-1]
    assert b"300k/300k" in bars[-1]


def test_a_wrong_checksum_leaves_nothing_and_is_told(hub: HubServer, goassist: Goassist) -> None:
    hub.faults.damaged = True
    status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert "arrived damaged" in err
    assert f"turn/{MODEL}" not in goassist.files()


def test_a_disk_without_room_is_noticed_before_anything_is_downloaded(hub: HubServer, goassist: Goassist) -> None:
    hub.repositories[TURN].claimed_sizes[MODEL] = 10**15
    status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert "free, and 1000 TB are needed" in err
    assert hub.files_asked() == []


def test_an_unknown_model_is_answered_with_the_known_ones(hub: HubServer, goassist: Goassist) -> None:
    status, _, err = goassist.models("pull", "turn", "gpt")
    assert status == 1
    assert "There is no model 'gpt'. These can be pulled: turn, faster-whisper" in err
    assert hub.requests == []


def test_a_licence_with_conditions_must_be_accepted(
    hub: HubServer, goassist: Goassist, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = goassist.models("pull", "turn", "xtts")
    assert status == 1
    assert "forbids commercial use" in err
    assert "kokoro" in err
    assert "--accept-license xtts" in err
    assert hub.requests == [], "not even the rest is pulled"

    assert goassist.models("pull", "xtts", "--accept-license", "xtts")[0] == 0
    assert "xtts/LICENSE.txt" in goassist.files()
    monkeypatch.setenv("XTTS_LICENSE_ACCEPTED", "1")
    assert goassist.models("pull", "xtts")[0] == 0


def test_offline_it_says_so(goassist: Goassist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert "The hub at http://hub.invalid cannot be reached" in err
    assert "Is this machine offline?" in err

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert "HF_HUB_OFFLINE forbids downloads" in err


def test_the_list_needs_no_network_and_shows_what_is_there(
    hub: HubServer, goassist: Goassist, monkeypatch: pytest.MonkeyPatch
) -> None:
    goassist.models("pull", "turn")
    (goassist.into / "turn" / "README.md").unlink()
    goassist.models("pull", "kokoro")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    status, out, _ = goassist.models("list")

    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["turn"].endswith("300 kB here, incomplete")
    assert lines["kokoro"].split()[:4] == ["kokoro", "tts", "gpu,cpu", "Apache-2.0"]
    assert lines["kokoro"].endswith("  here")
    assert lines["xtts"].split()[3:] == ["CPML", "1.9", "GB", "not", "here"]
    assert lines["folder:"] == f"folder: {goassist.into}"
    assert not (goassist.into / "xtts").exists()


def test_the_list_of_a_profile_has_its_models_only(goassist: Goassist) -> None:
    rows = goassist.models("list", "--profile", "cpu")[1].splitlines()[1:-1]
    assert [row.split()[0] for row in rows] == ["turn", "faster-whisper-base.en", "qwen2.5-0.5b-instruct", "kokoro"]


def test_two_pulls_at_once_do_not_meet(goassist: Goassist) -> None:
    goassist.into.mkdir()
    with (goassist.into / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert "Another goassist pulls models" in err


def test_a_folder_that_cannot_be_written_is_named(goassist: Goassist) -> None:
    goassist.into.mkdir()
    (goassist.into / "turn").write_text("a file where the folder should be")
    status, _, err = goassist.models("pull", "turn")
    assert status == 1
    assert str(goassist.into / "turn") in err


def test_a_repository_that_lost_a_file_is_told(hub: HubServer, goassist: Goassist) -> None:
    hub.repositories[KOKORO].files = {"unexpected.bin": b"x"}
    status, _, err = goassist.models("pull", "kokoro")
    assert status == 1
    assert f"{KOKORO} has none of the expected files" in err


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (355_000_000, "355 MB"),
        (15_200_000_000, "15.2 GB"),
        (10**15, "1000 TB"),
    ],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_of(count) == text
