"""A Hugging Face hub on loopback: the listing, files resolved at a commit, large ones by way of another host.

Faults can be switched on: connections cut after some bytes, wrong bytes, no ranges, statuses that refuse. That the
hub's own library downloads from it is proven in tests/hub/test_hub_server.py.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "5" * 40
LARGE_BYTES = 1000  # as .gitattributes of a repository decides, here by size


@dataclass
class Repository:
    """The files of one model, and what its listing claims in place of the truth."""

    files: Mapping[str, bytes]
    claimed_sizes: dict[str, int] = field(default_factory=dict)

    def listing(self, name: str) -> dict[str, object]:
        """What the API tells of it, with blobs=true."""
        siblings = []
        for path, data in self.files.items():
            size = self.claimed_sizes.get(path, len(data))
            sibling: dict[str, object] = {"rfilename": path, "size": size, "blobId": blob_id(data)}
            if is_large(data):
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 135}
            siblings.append(sibling)
        return {"_id": "0", "id": name, "sha": COMMIT, "private": False, "siblings": siblings}


def is_large(data: bytes) -> bool:
    """Whether a file is stored apart from git (LFS, Xet)."""
    return len(data) >= LARGE_BYTES


def blob_id(data: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Faults:
    """What goes wrong; nothing at first."""

    cut_after: list[int] = field(default_factory=list)  # bytes of a large file's body, request by request
    damaged: bool = False  # the last byte of large files is another
    ranges: bool = True
    statuses: list[int] = field(default_factory=list)  # of the next answers
    token: str | None = None  # wanted of everybody


class HubServer:
    """The server, its faults, and what was asked of it: method, path and Range of every request."""

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        self.repositories = dict(repositories)
        self.faults = Faults()
        self.requests: list[tuple[str, str, str | None]] = []
        self.tokens_elsewhere: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def files_asked(self) -> list[tuple[str, str | None]]:
        """Name and Range of every request for the bytes of a file, redirections not counted."""
        return [
            (path.rpartition("/")[2], wanted)
            for method, path, wanted in self.requests
            if method == "GET" and not path.startswith("/api/") and "redirected" not in path
        ]

    @contextmanager
    def running(self) -> Iterator["HubServer"]:
        """Serve."""
        servers = (self._server, self._elsewhere)
        threads = [Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server, thread in zip(servers, threads, strict=True):
                server.shutdown()
                thread.join()
                server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self, with_body=True)

            def do_HEAD(self) -> None:
                hub._answer(self, with_body=False)

            def log_message(self, format: str, *args: object) -> None:
                """Tests ask `requests` instead."""

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        token = request.headers.get("Authorization")
        if path.startswith("/elsewhere/"):
            self.requests.append((request.command, path, request.headers.get("Range")))
            self.tokens_elsewhere += [token] if token else []
            self._send_file(request, self._found(path.removeprefix("/elsewhere")), with_body=with_body)
            return
        if self.faults.statuses:
            self._send(request, self.faults.statuses.pop(0), b"{}", {})
        elif self.faults.token is not None and token != f"Bearer {self.faults.token}":
            self._send(request, 401, b'{"error": "Invalid credentials"}', {})
        elif listed := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.requests.append((request.command, path, None))
            if listed[1] in self.repositories and listed[2] in (None, "main", COMMIT):
                body = json.dumps(self.repositories[listed[1]].listing(listed[1])).encode()
                self._send(request, 200, body, {"Content-Type": "application/json"})
            else:
                self._send(request, 404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif (data := self._found(path)) is None:
            self._send(request, 404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        elif is_large(data):
            self.requests.append((request.command, f"{path}#redirected", request.headers.get("Range")))
            digest = hashlib.sha256(data).hexdigest()
            self._send(
                request,
                302,
                b"",
                {
                    "Location": f"http://localhost:{self._elsewhere.server_port}/elsewhere{urlsplit(request.path).path}",
                    "X-Repo-Commit": COMMIT,
                    "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(data)),
                },
            )
        else:
            self.requests.append((request.command, path, request.headers.get("Range")))
            self._send_file(request, data, with_body=with_body)

    def _found(self, path: str) -> bytes | None:
        resolved = re.fullmatch(rf"/(.+?)/resolve/(?:main|{COMMIT})/(.+)", path)
        if resolved is None or resolved[1] not in self.repositories:
            return None
        return self.repositories[resolved[1]].files.get(resolved[2])

    def _send_file(self, request: BaseHTTPRequestHandler, data: bytes | None, *, with_body: bool) -> None:
        assert data is not None
        headers = {"ETag": f'"{blob_id(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.faults.damaged and is_large(data):
            data = data[:-1] + bytes([data[-1] ^ 1])
        total, start, status = len(data), 0, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        if wanted is not None and self.faults.ranges:
            start, status = int(wanted[1]), 206
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        body = data[start:]
        cut = self.faults.cut_after.pop(0) if self.faults.cut_after and is_large(data) and with_body else None
        self._send(request, status, body if with_body else b"", headers | {"Content-Length": str(len(body))}, cut=cut)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        cut: int | None = None,
    ) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[:cut])
        if cut is not None:
            request.close_connection = True
