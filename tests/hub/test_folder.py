"""What a model's folder is believed to hold."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from orchestrator.hub.files import HubFile, Snapshot
from orchestrator.hub.folder import Folder
from tests.hub.conftest import content

WHOLE = content(3000)
FILE = HubFile("onnx/model.onnx", len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
SNAPSHOT = Snapshot("some/repo", "c0ffee", (FILE,))


class Reading:
    """Counts which files are hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashed: list[str] = []
        digest_of = HubFile.digest_of

        def counted(file: HubFile, path: Path) -> str:
            self.hashed.append(file.path)
            return digest_of(file, path)

        monkeypatch.setattr(HubFile, "digest_of", counted)


def overwrite(path: Path) -> None:
    """Put something else of the same size and time of modification into a file."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock ticks every few milliseconds
        path.write_bytes(b"x" + WHOLE[1:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def pulled(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "pulled")
    with folder.part(FILE) as part:
        part.add(WHOLE)
    folder.admit(FILE)
    folder.record(SNAPSHOT)
    return folder


def test_what_was_pulled_is_not_hashed_again(pulled: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    assert Folder(pulled.path).has(FILE)
    assert reading.hashed == []


def test_the_record_is_not_believed_of_a_copy(pulled: Folder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pulled.path, copy)  # with the times of modification
    assert Folder(copy).has(FILE)
    overwrite(copy / FILE.path)
    assert not Folder(copy).has(FILE)
    assert Folder(copy).missing_bytes(FILE) == FILE.size


def test_the_record_is_not_believed_of_a_file_that_was_written_to(pulled: Folder) -> None:
    overwrite(pulled.path / FILE.path)
    assert not Folder(pulled.path).has(FILE)


def test_a_copy_is_hashed_once(pulled: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pulled.path, copy)
    reading = Reading(monkeypatch)
    folder = Folder(copy)
    assert folder.has(FILE)
    folder.record(SNAPSHOT)
    assert Folder(copy).has(FILE)
    assert reading.hashed == [FILE.path]


def test_what_changes_after_it_was_hashed_is_hashed_again(pulled: Folder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pulled.path, copy)
    folder = Folder(copy)
    assert folder.has(FILE)
    overwrite(copy / FILE.path)  # while the others are downloaded
    folder.record(SNAPSHOT)
    assert not Folder(copy).has(FILE)


@pytest.mark.parametrize(
    "record", ["", '{"repo": "some/re', "[]", "{}", '{"files": [{"path": "x"}]}', '{"files": ["x"]}']
)
def test_a_record_that_cannot_be_read_is_none(pulled: Folder, record: str) -> None:
    (pulled.path / ".pulled.json").write_text(record)
    folder = Folder(pulled.path)
    assert folder.has(FILE)
    assert folder.recorded() == ()
    assert folder.is_complete(("onnx/*.onnx", "README.md"))
    assert not folder.is_complete(("*.bin",))


def test_a_record_without_stamps_is_not_believed(pulled: Folder) -> None:
    record = '{"repo": "some/repo", "commit": "c0ffee", "files": [{"path": "%s", "size": %d, "digest": "%s"}]}'
    (pulled.path / ".pulled.json").write_text(record % (FILE.path, FILE.size, FILE.digest))
    (pulled.path / FILE.path).write_bytes(b"x" + WHOLE[1:])
    assert not Folder(pulled.path).has(FILE)


def test_the_record_is_on_the_disk_before_it_has_its_name(pulled: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def checked_replace(source: Path, target: Path) -> None:
        assert source.name in synced
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", checked_replace)
    pulled.record(SNAPSHOT)
    assert synced
