import hashlib
import subprocess
from pathlib import Path

import pytest

from orchestrator.hub.files import HubFile, Part
from tests.hub.conftest import content

WHOLE = content(5000)
FILE = HubFile("model.bin", 5000, hashlib.sha256(WHOLE).hexdigest())


def test_a_part_grows_and_knows_its_digest(tmp_path: Path) -> None:
    with Part(tmp_path / "part", FILE) as part:
        part.add(WHOLE[:1000])
        assert (part.size, part.is_whole) == (1000, False)
        part.add(WHOLE[1000:])
        assert part.is_whole
        assert part.digest == FILE.digest
    assert (tmp_path / "part").read_bytes() == WHOLE


def test_a_part_that_was_left_is_taken_up_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(WHOLE[:3000])
    with Part(tmp_path / "part", FILE) as part:
        assert part.size == 3000
        part.add(WHOLE[3000:])
        assert part.digest == FILE.digest


def test_a_part_can_begin_again(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"x" * 3000)
    with Part(tmp_path / "part", FILE) as part:
        part.restart()
        assert part.size == 0
        part.add(WHOLE)
        assert part.digest == FILE.digest
    assert (tmp_path / "part").read_bytes() == WHOLE


def test_a_part_longer_than_the_file_is_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(WHOLE + b"x")
    with Part(tmp_path / "part", FILE) as part:
        assert part.size == 0


def test_what_was_added_is_on_the_disk_at_once(tmp_path: Path) -> None:
    with Part(tmp_path / "part", FILE) as part:
        part.add(b"x")
        assert (tmp_path / "part").read_bytes() == b"x"


@pytest.mark.parametrize("data", [b"", b"hello\n", WHOLE])
def test_the_digest_of_a_small_file_is_the_one_that_git_gives_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    git = subprocess.run(["git", "hash-object", tmp_path / "file"], capture_output=True, text=True, check=True)
    assert HubFile("file", len(data), "0" * 40).digest_of(tmp_path / "file") == git.stdout.strip()
