import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.hub.client import ATTEMPTS, DownloadError, Hub
from orchestrator.hub.files import HubFile, Part, Snapshot
from tests.hub.conftest import TURN, content
from tests.servers.hub import COMMIT, HubServer, Repository, blob_id

MODEL = "smart-turn-v3.0.onnx"
WHOLE = content(300_000)


@pytest.fixture
def client(hub: HubServer) -> Iterator[Hub]:
    client = Hub(hub.endpoint, backoff_s=0.01)
    yield client
    client.close()


@pytest.fixture
def snapshot(client: Hub) -> Snapshot:
    return client.snapshot(TURN, "main", ("*.onnx", "README.md"))


def download(client: Hub, snapshot: Snapshot, part: Path, name: str = MODEL) -> int:
    """Returns the bytes that were reported."""
    file = next(file for file in snapshot.files if file.path == name)
    reported: list[int] = []
    with Part(part, file) as opened:
        client.download(snapshot, opened, reported.append)
    return sum(reported)


def test_a_snapshot_has_the_files_that_match_at_the_commit_of_the_revision(snapshot: Snapshot) -> None:
    assert snapshot.commit == COMMIT
    assert snapshot.files == (
        HubFile(MODEL, 300_000, hashlib.sha256(WHOLE).hexdigest()),
        HubFile("README.md", 10, blob_id(b"Smart Turn")),
    )


@pytest.mark.parametrize(("name", "data"), [(MODEL, WHOLE), ("README.md", b"Smart Turn")])
def test_a_file_is_downloaded_and_every_byte_reported(
    client: Hub, snapshot: Snapshot, tmp_path: Path, name: str, data: bytes
) -> None:
    part = tmp_path / "part"
    assert download(client, snapshot, part, name) == len(data)
    assert part.read_bytes() == data


def test_files_are_asked_for_at_the_commit_not_at_the_moving_branch(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    download(client, snapshot, tmp_path / "part")
    assert any(f"/resolve/{COMMIT}/{MODEL}" in path for _, path, _ in hub.requests)
    assert not any("/resolve/main/" in path for _, path, _ in hub.requests)


def test_a_broken_download_goes_on_where_it_ended(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    hub.faults.cut_after = [100_000, 50_000]
    part = tmp_path / "part"
    assert download(client, snapshot, part) == len(WHOLE)
    assert part.read_bytes() == WHOLE
    assert hub.files_asked() == [(MODEL, None), (MODEL, "bytes=100000-"), (MODEL, "bytes=150000-")]


def test_what_an_earlier_run_left_is_not_downloaded_again(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    hub.faults.cut_after = [100_000, *[0] * ATTEMPTS]
    with pytest.raises(DownloadError, match="What has arrived is kept"):
        download(client, snapshot, part)
    assert part.read_bytes() == WHOLE[:100_000]

    hub.requests.clear()
    hub.faults.cut_after = []
    assert download(client, snapshot, part) == 200_000
    assert part.read_bytes() == WHOLE
    assert hub.files_asked() == [(MODEL, "bytes=100000-")]


def test_a_download_that_gets_on_may_break_any_number_of_times(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    hub.faults.cut_after = [10_000] * (2 * ATTEMPTS)
    assert download(client, snapshot, tmp_path / "part") == len(WHOLE)


def test_a_server_without_ranges_sends_everything_again(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    hub.faults.ranges = False
    hub.faults.cut_after = [100_000]
    part = tmp_path / "part"
    assert download(client, snapshot, part) == len(WHOLE), "bytes that are sent again count once"
    assert part.read_bytes() == WHOLE


def test_a_complete_part_is_checked_and_nothing_is_asked_for(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    part.write_bytes(WHOLE)
    assert download(client, snapshot, part) == 0
    assert hub.files_asked() == []


@pytest.mark.parametrize("left", [b"x" * 1000, WHOLE + b"x"])
def test_a_part_of_something_else_does_not_spoil_the_file_for_good(
    client: Hub, snapshot: Snapshot, tmp_path: Path, left: bytes
) -> None:
    part = tmp_path / "part"
    part.write_bytes(left)
    if len(left) < len(WHOLE):
        with pytest.raises(DownloadError, match="arrived damaged"):
            download(client, snapshot, part)
    download(client, snapshot, part)
    assert part.read_bytes() == WHOLE


def test_damaged_bytes_are_noticed_and_removed(hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path) -> None:
    hub.faults.damaged = True
    part = tmp_path / "part"
    with pytest.raises(DownloadError, match=f"{MODEL} arrived damaged: its checksum is .*, not .*try again"):
        download(client, snapshot, part)
    assert not part.exists()


def test_a_small_file_is_checked_by_its_git_blob_id(client: Hub, snapshot: Snapshot, tmp_path: Path) -> None:
    wrong = HubFile("README.md", 10, blob_id(b"Smart Tern"))
    with pytest.raises(DownloadError, match=f"README.md arrived damaged: its checksum is {blob_id(b'Smart Turn')}"):
        download(client, replace(snapshot, files=(wrong,)), tmp_path / "part", "README.md")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_tried_again(
    hub: HubServer, client: Hub, snapshot: Snapshot, tmp_path: Path, status: int
) -> None:
    hub.faults.statuses = [status] * (ATTEMPTS - 1)
    assert download(client, snapshot, tmp_path / "part") == len(WHOLE)


def test_a_lasting_refusal_ends_it(hub: HubServer, client: Hub) -> None:
    hub.faults.statuses = [503] * ATTEMPTS
    with pytest.raises(DownloadError, match="the hub answers 503 Service Unavailable"):
        client.snapshot(TURN, "main", ("*",))


def test_a_repository_with_conditions_wants_a_token(hub: HubServer, client: Hub, tmp_path: Path) -> None:
    hub.faults.token = "hf_secret"
    with pytest.raises(DownloadError, match=f"accept its conditions at {hub.endpoint}/{TURN}, and set HF_TOKEN"):
        client.snapshot(TURN, "main", ("*",))

    allowed = Hub(hub.endpoint, "hf_secret")
    assert download(allowed, allowed.snapshot(TURN, "main", ("*",)), tmp_path / "part") == len(WHOLE)
    allowed.close()
    assert hub.tokens_elsewhere == [], "the token stays with the hub"


@pytest.mark.parametrize(
    ("repo", "revision", "patterns", "message"),
    [
        ("no/such", "main", ("*",), "has no api/models/no/such/revision/main"),
        (TURN, "v9", ("*",), "has no api/models/.*/revision/v9"),
        (TURN, "main", ("*.gguf",), r"none of the expected files: \*\.gguf"),
    ],
)
def test_what_the_hub_has_not_is_named(
    client: Hub, repo: str, revision: str, patterns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        client.snapshot(repo, revision, patterns)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "a\\b"])
def test_a_hub_cannot_write_outside_the_folder(hub: HubServer, client: Hub, path: str) -> None:
    hub.repositories["evil/model"] = Repository({path: b"x"})
    with pytest.raises(DownloadError, match="does not answer like a Hugging Face hub"):
        client.snapshot("evil/model", "main", ("*",))


def test_an_address_that_is_no_hub_is_told(hub: HubServer) -> None:
    hub.faults.statuses = [200]
    client = Hub(hub.endpoint)
    with pytest.raises(DownloadError, match="does not answer like a Hugging Face hub"):
        client.snapshot(TURN, "main", ("*",))
    client.close()


def test_without_a_network_it_says_so_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        client = Hub(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"cannot be reached .* Is this machine offline\?"):
            client.snapshot(TURN, "main", ("*",))
        client.close()


def test_an_endpoint_is_an_address() -> None:
    with pytest.raises(ConfigurationError, match=r"HF_ENDPOINT cannot be 'hub\.example'"):
        Hub("hub.example")
