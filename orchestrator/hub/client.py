"""The Hugging Face hub's HTTP protocol: what a repository holds, and its files, resumed and checked.

The hub's own library throws an interrupted download away when its process ends, warns of a full disk without stopping
and compares no checksum; fifteen gigabytes want all three. What is needed here of the protocol is two requests.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from orchestrator.errors import ConfigurationError, GoAssistError
from orchestrator.hub.files import HubFile, Part, Snapshot

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ATTEMPTS = 5
BACKOFF_S = 1.0

_Answer = TypeVar("_Answer")


class DownloadError(GoAssistError):
    """Weights could not be downloaded; the text says why and what to do."""

    code = "download_failed"


class _BrokenError(Exception):
    """A transfer ended early for a reason that may pass."""


class Hub:
    """A hub at `endpoint`. Every method raises DownloadError when it cannot do what it says."""

    def __init__(self, endpoint: str, token: str | None = None, *, backoff_s: float = BACKOFF_S) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(f"HF_ENDPOINT cannot be {endpoint!r}: it is an http(s):// address.")
        self._endpoint = endpoint.rstrip("/")
        self._backoff_s = backoff_s
        # The files' bytes are wanted as they are; the token goes to this host only, httpx drops it at redirections.
        headers = {"Accept-Encoding": "identity", "User-Agent": "goassist"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT, follow_redirects=True)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def snapshot(self, repo: str, revision: str, patterns: Sequence[str]) -> Snapshot:
        """The files of `repo` that match one of `patterns`, at the commit that `revision` names now."""
        url = f"{self._endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"

        def ask() -> Any:
            with self._answer(repo, url, params={"blobs": "true"}) as response:
                response.read()
                return response.json()

        try:
            told = self._patiently(repo, ask, progress=lambda: 0)
            files = tuple(
                _file(sibling)
                for sibling in told["siblings"]
                if any(fnmatchcase(sibling["rfilename"], pattern) for pattern in patterns)
            )
            commit = str(told["sha"])
        except (KeyError, TypeError, ValueError) as error:
            raise DownloadError(f"{self._endpoint} does not answer like a Hugging Face hub: {error!r}") from error
        if not files:
            raise DownloadError(f"{repo} has none of the expected files: {', '.join(patterns)}")
        return Snapshot(repo, commit, files)

    def download(self, snapshot: Snapshot, part: Part, on_bytes: Callable[[int], None]) -> None:
        """Complete `part` of a file of the snapshot; `on_bytes` hears of every piece as it is written.

        A broken transfer is taken up again where it ended, as long as it gets on. What then is not the file, by its
        checksum, is removed.
        """
        what = f"{snapshot.repo}/{part.file.path}"
        url = f"{self._endpoint}/{snapshot.repo}/resolve/{snapshot.commit}/{quote(part.file.path)}"
        if not part.is_whole:
            self._patiently(
                what, lambda: self._transfer(snapshot.repo, url, part, on_bytes), progress=lambda: part.size
            )
        if part.digest != part.file.digest:
            part.path.unlink()
            raise DownloadError(
                f"{what} arrived damaged: its checksum is {part.digest}, not {part.file.digest}. It was removed: try "
                "again, and if that repeats, distrust the mirror or proxy in between."
            )

    def _transfer(self, repo: str, url: str, part: Part, on_bytes: Callable[[int], None]) -> None:
        with self._answer(repo, url, headers={"Range": f"bytes={part.size}-"} if part.size else {}) as response:
            if part.size and response.status_code != httpx.codes.PARTIAL_CONTENT:
                on_bytes(-part.size)
                part.restart()
            for piece in response.iter_raw():
                if part.size + len(piece) > part.file.size:
                    raise _BrokenError(f"it is longer than the {part.file.size} bytes that were announced")
                part.add(piece)
                on_bytes(len(piece))
        if not part.is_whole:
            raise _BrokenError("it is shorter than was announced")

    def _patiently(self, what: str, attempt: Callable[[], _Answer], *, progress: Callable[[], int]) -> _Answer:
        """Try again after what may pass, up to ATTEMPTS times in a row without progress."""
        failures, reached = 0, progress()
        while True:
            try:
                return attempt()
            except (_BrokenError, httpx.RequestError) as error:
                failures = failures + 1 if progress() <= reached else 1
                reached = progress()
                unreachable = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
                if unreachable and not reached:
                    raise DownloadError(
                        f"The hub at {self._endpoint} cannot be reached ({error}). Is this machine offline? "
                        "HF_ENDPOINT names a mirror; or pull on a machine with a network, and copy its models/ here."
                    ) from error
                if failures == ATTEMPTS:
                    raise DownloadError(
                        f"{what} could not be downloaded: {str(error) or type(error).__name__}. What has arrived is "
                        "kept: the same command goes on from there."
                    ) from error
                time.sleep(self._backoff_s * 2 ** (failures - 1))

    @contextmanager
    def _answer(self, repo: str, url: str, **options: Any) -> Iterator[httpx.Response]:
        with self._http.stream("GET", url, **options) as response:
            if response.status_code in (401, 403):
                raise DownloadError(
                    f"The hub gives {repo} only to those who may have it: accept its conditions at "
                    f"{self._endpoint}/{repo}, and set HF_TOKEN to a token of yours."
                )
            if response.status_code == 404:
                raise DownloadError(f"The hub at {self._endpoint} has no {url.removeprefix(self._endpoint + '/')}.")
            if response.status_code == 429 or response.status_code >= 500:
                raise _BrokenError(f"the hub answers {response.status_code} {response.reason_phrase}")
            if response.is_error:
                raise DownloadError(f"The hub refuses {url}: {response.status_code} {response.reason_phrase}.")
            yield response


def _file(sibling: dict[str, Any]) -> HubFile:
    path = str(sibling["rfilename"])
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"a file is named {path!r}")
    large = sibling.get("lfs")
    return HubFile(path, int(sibling["size"]), str(large["sha256"] if large else sibling["blobId"]))
