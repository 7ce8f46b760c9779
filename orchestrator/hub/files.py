"""Files of a hub's repositories, and a file that is still being downloaded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

_CHUNK_BYTES = 1 << 20


class Hash(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes, /) -> None:
        """Add data."""

    def hexdigest(self) -> str:
        """The digest of all data."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository: its size in bytes and its digest, sha256 of large files, git's blob id of others."""

    path: str
    size: int
    digest: str

    def new_hash(self) -> Hash:
        """A hash whose digest over the whole file is `digest`."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        # Git names a blob by the SHA-1 of a header and its bytes (gitformat-loose(5)); no secret depends on it.
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)

    def digest_of(self, path: Path) -> str:
        """The digest of what is at `path`."""
        digest = self.new_hash()
        with path.open("rb") as stream:
            while piece := stream.read(_CHUNK_BYTES):
                digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]


class Part:
    """The beginning of `file` at `path`, which an earlier process may have left; use it in a with block."""

    def __init__(self, path: Path, file: HubFile) -> None:
        self.path = path
        self.file = file
        if path.exists() and path.stat().st_size > file.size:
            path.unlink()
        self._stream = path.open("ab+")
        self.restart(keep=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    @property
    def size(self) -> int:
        """The bytes that are there."""
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there, right or wrong."""
        return self._size == self.file.size

    @property
    def digest(self) -> str:
        """The digest of the bytes that are there."""
        return self._hash.hexdigest()

    def add(self, piece: bytes) -> None:
        """Append `piece`. Whatever was added outlives this process."""
        self._stream.write(piece)
        self._stream.flush()
        self._hash.update(piece)
        self._size += len(piece)

    def restart(self, *, keep: bool = False) -> None:
        """Begin from nothing, or, to `keep` them, with the bytes that are there."""
        if not keep:
            self._stream.truncate(0)
        self._hash = self.file.new_hash()
        self._stream.seek(0)
        while piece := self._stream.read(_CHUNK_BYTES):
            self._hash.update(piece)
        self._size = self._stream.tell()
