"""Servers that are measured: started, refused, ended; and the environment of one that is not ours."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from benchmarks.servers import MeasurementError, Server, other_cores, own_cores, running

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "peers-pipecat.txt"
CORE = min(os.sched_getaffinity(0))

SERVE = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(os.sched_getaffinity(0)).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def server(program: str) -> Server:
    return Server("a test's server", (sys.executable, "-c", program), "offer", "/")


def test_a_server_runs_on_its_core_alone_and_is_gone_afterwards() -> None:
    port = free_port()
    with running(server(SERVE), cpu=CORE, port=port) as url, urlopen(url) as answer:
        cores = answer.read().decode()

    assert cores == f"{{{CORE}}}"
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_workers_take_the_next_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 2, 4, 6})  # every other one, as `taskset` gives

    assert (own_cores(2, workers=2), other_cores(2, workers=2)) == ({2, 4}, {0, 6})
    assert (own_cores(0, workers=8), other_cores(0, workers=8)) == ({0, 2, 4, 6}, {2, 4, 6})


def test_a_server_that_ends_before_it_is_ready_is_named() -> None:
    failing = running(server("raise SystemExit(3)"), cpu=CORE, port=free_port())

    with pytest.raises(MeasurementError, match="a test's server did not become ready"), failing:
        pass


def test_a_server_that_is_already_on_the_port_is_not_taken_for_the_measured_one() -> None:
    port = free_port()
    with running(server(SERVE), cpu=CORE, port=port):
        second = running(server(SERVE), cpu=CORE, port=port)
        with pytest.raises(MeasurementError, match=f"port {port} is taken"), second:
            pass


def test_figures_are_kept_where_no_server_can_be_started_for_new_ones(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "figures.json"
    file.write_text('{"figures": {"conversation": {"GoAssist": {"missed": 0}}}}')
    command = [sys.executable, "-m", "benchmarks.peers", "--figures", "conversation", "--servers", "goassist"]
    with running(server(SERVE), cpu=CORE, port=port):
        done = subprocess.run(
            [*command, "--port", str(port), "--json", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )

    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert file.read_text() == '{"figures": {"conversation": {"GoAssist": {"missed": 0}}}}'


def test_the_stand_ins_need_nothing_but_python() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks.standins import TOKENS; print(TOKENS[:4])"
    bare = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(bare, capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.strip() == "['Okay', ' here', ' it', ' is.']"


def test_every_package_of_pipecats_environment_is_pinned_exactly() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]

    assert "pipecat-ai==1.14.0" in lines
    assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+(; |$)", line)] == []


def test_where_pip_cannot_install_the_set_up_says_what_it_needs_and_leaves_nothing(tmp_path: Path) -> None:
    setup = tmp_path / "deploy" / "setup"
    setup.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "setup" / "peers.sh", setup)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "peers-none.txt").write_text("no-such-package==1.0\n")
    (tmp_path / ".venv").symlink_to(sys.prefix)

    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run([setup / "peers.sh", "none"], env=offline, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert "none could not be installed, so that it cannot be measured" in done.stderr
    assert not (tmp_path / ".venvs" / "none").exists()
