"""The stand-in hub is one to the hub's own library: what is tested against it holds for the real one."""

import hashlib
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from tests.hub.conftest import TURN, content
from tests.servers.hub import COMMIT, HubServer, blob_id


def test_the_hubs_own_library_lists_the_files_with_their_digests(hub: HubServer) -> None:
    told = HfApi(endpoint=hub.endpoint, token=False).model_info(TURN, files_metadata=True)

    assert told.sha == COMMIT
    files = {file.rfilename: file for file in told.siblings or []}
    large, small = files["smart-turn-v3.0.onnx"], files["README.md"]
    assert large.size == 300_000
    assert large.lfs is not None
    assert large.lfs.sha256 == hashlib.sha256(content(300_000)).hexdigest()
    assert small.lfs is None
    assert small.blob_id == blob_id(b"Smart Turn")


def test_the_hubs_own_library_downloads_large_and_small_files(hub: HubServer, tmp_path: Path) -> None:
    for name, data in (("smart-turn-v3.0.onnx", content(300_000)), ("README.md", b"Smart Turn")):
        path = hf_hub_download(TURN, name, endpoint=hub.endpoint, local_dir=tmp_path, token=False)
        assert Path(path).read_bytes() == data
