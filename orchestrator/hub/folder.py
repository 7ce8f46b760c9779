"""A model's folder in models/: what was pulled into it, and what is missing.

A file appears under its name only when it is whole and its checksum is right. Before that it is a hidden part, named
after its digest, so that a later run takes up the same content only. `.pulled.json` tells what the folder holds. That a
file is still what was checked is believed only of the very file: a copy, or one that was written to, is hashed again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.hub.client import DownloadError
from orchestrator.hub.files import HubFile, Part, Snapshot

_RECORD = ".pulled.json"

Stamp = tuple[int, int]
"""Inode and time of the last change (st_ctime_ns) of a file: neither of them goes along with a copy."""


class Folder:
    """The folder at `path`, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: dict[HubFile, Stamp] = {}  # the right content, as this process knows

    def part(self, file: HubFile) -> Part:
        """What is there of `file`, to be completed."""
        path = self._part(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Part(path, file)

    def _part(self, file: HubFile) -> Path:
        target = self.path / file.path
        return target.with_name(f".{target.name}.{file.digest[:16]}.part")

    def has(self, file: HubFile) -> bool:
        """Whether `file` is there: by the record, or by its checksum where it came some other way."""
        target = self.path / file.path
        if not target.is_file() or target.stat().st_size != file.size:
            return False
        stamp = _stamp(target)  # of before it is read: what is written to it meanwhile does not count as checked
        if self._record().get(file) != stamp and file.digest_of(target) != file.digest:
            return False
        self._checked[file] = stamp
        return True

    def missing_bytes(self, file: HubFile) -> int | None:
        """How much of `file` is still to come; None where it is there."""
        if self.has(file):
            return None
        part = self._part(file)
        return file.size - min(file.size, part.stat().st_size if part.exists() else 0)

    def admit(self, file: HubFile) -> None:
        """Give a whole and checked part its name."""
        part = self._part(file)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, self.path / file.path)
        self._checked[file] = _stamp(self.path / file.path)

    def record(self, snapshot: Snapshot) -> None:
        """Remember what the folder holds, and remove parts that belong to nothing any more."""
        files = [asdict(file) | {"stamp": self._checked.get(file)} for file in snapshot.files]
        draft = self.path / f"{_RECORD}.part"
        with draft.open("w") as stream:
            json.dump(asdict(snapshot) | {"files": files}, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, self.path / _RECORD)
        for part in self.path.rglob(".*.part"):
            part.unlink()

    def recorded(self) -> tuple[HubFile, ...]:
        """The files that were pulled, as far as is recorded."""
        return tuple(self._record())

    def _record(self) -> dict[HubFile, Stamp | None]:
        """What was pulled, with the stamps; nothing where there is no record that can be read."""
        try:
            files = json.loads((self.path / _RECORD).read_text())["files"]
            return {
                HubFile(str(file["path"]), int(file["size"]), str(file["digest"])): _read_stamp(file.get("stamp"))
                for file in files
            }
        except (OSError, ValueError, TypeError, LookupError):
            return {}

    def is_complete(self, patterns: tuple[str, ...]) -> bool:
        """Whether every file is there that was recorded, or else one for each pattern of weights."""
        if recorded := self.recorded():
            sizes = {file.path: file.size for file in recorded}
            return sizes == {path: size for path, size in self._files().items() if path in sizes}
        required = [pattern for pattern in patterns if not pattern.startswith(("README", "LICENSE", "*.jinja"))]
        return all(any(fnmatchcase(path, pattern) for path in self._files()) for pattern in required)

    def bytes_here(self) -> int:
        """The size of all that is in the folder but the record, parts included."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file() and path.name != _RECORD)

    def _files(self) -> dict[str, int]:
        return {
            path.relative_to(self.path).as_posix(): path.stat().st_size
            for path in self.path.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_ino, status.st_ctime_ns


def _read_stamp(stamp: Any) -> Stamp | None:
    return (int(stamp[0]), int(stamp[1])) if stamp else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for oneself; DownloadError where another process pulls into it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(f"Another goassist pulls models into {folder}: wait for it to end.") from error
        yield
