"""Two real workers behind one port."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.realtime.keys import Keys
from orchestrator.siblings import Worker
from orchestrator.telemetry.exposition import summed
from tests.servers.triton import RunningTriton
from tests.test_cli import address, start

TIMEOUT_S = 40


@dataclass(frozen=True)
class Service:
    """The process that was started, and where its workers answer."""

    process: subprocess.Popen[str]
    url: str

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Over a connection of its own, which reaches any worker."""
        return httpx.request(method, self.url + path, trust_env=False, timeout=10, **options)

    def ready(self) -> bool:
        """Whether every worker answers; a connection to one that has just died is lost."""
        try:
            return self.request("GET", "/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def children(self) -> list[int]:
        """The workers' process ids."""
        pid = self.process.pid
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(each) for text in texts for each in text.split() if "workers" in command(int(each))]

    def sessions(self) -> dict[str, str]:
        """One session of each worker, by the prefix of its id."""
        found: dict[str, str] = {}
        deadline = time.monotonic() + TIMEOUT_S
        while len(found) < 2 and time.monotonic() < deadline:
            session: str = self.request("POST", "/sessions", json={}).json()["session_id"]
            found.setdefault(session.rpartition("_")[0], session)
        assert set(found) == {"sess_w0", "sess_w1"}
        return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def until(condition: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


MOST = 6


@pytest.fixture
def service(triton: RunningTriton, tmp_path: Path) -> Iterator[Service]:
    # Late frames of a busy machine are no matter here.
    variables = {
        "TRITON_URL": triton.grpc_url,
        "MAX_FRAME_LATENESS_MS": "10000",
        "MAX_CONCURRENT_SESSIONS": str(MOST),
    }
    process = start("serve", "--port", "0", "--workers", "2", cwd=tmp_path, **variables)
    try:
        yield Service(process, address(process).rstrip("/"))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)


def test_a_session_is_reached_over_any_connection_and_counts_are_of_all(service: Service) -> None:
    sessions = service.sessions()
    for session in sessions.values():
        for _ in range(6):  # each connection reaches a worker by chance
            assert service.request("GET", f"/sessions/{session}").json()["session_id"] == session
    chosen = service.request("POST", "/sessions", json={"session_id": "mine"})
    assert chosen.status_code == 200
    assert all(service.request("GET", "/sessions/mine").status_code == 200 for _ in range(6))
    listed = service.request("GET", "/sessions").json()
    assert {*sessions.values(), "mine"} <= {each["session_id"] for each in listed["sessions"]}
    assert listed["active_count"] == len(listed["sessions"])
    said = service.request("POST", f"/sessions/{sessions['sess_w1']}/chat", json={"message": "What is your name?"})
    assert said.json()["response"].startswith("My name is GoAssist.")

    page = service.request("GET", "/metrics").text
    values = dict(re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE))
    assert float(values["goassist_sessions_active"]) == listed["active_count"]
    resident = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in service.children()]
    assert len(resident) == 2
    assert float(values["process_resident_memory_bytes"]) == pytest.approx(sum(resident), rel=0.1)
    assert float(values["process_cpu_seconds_total"]) > 0

    ready = service.request("GET", "/readyz")
    assert (ready.status_code, ready.json()["status"], ready.json()["workers"]) == (200, "ready", 2)
    for each in listed["sessions"]:
        assert service.request("DELETE", f"/sessions/{each['session_id']}").status_code == 200
    assert service.request("GET", "/sessions").json()["active_count"] == 0
    for worker in (0, 1, 7):
        assert service.request("POST", f"/v1/realtime/calls/rtc_w{worker}_gone/hangup").status_code == 404


def test_a_worker_that_dies_is_restarted_and_the_others_calls_go_on(service: Service) -> None:
    sessions, before = service.sessions(), service.children()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(after := service.children()) == 2 and before[0] not in after)
    until(service.ready)
    answers = [service.request("GET", f"/sessions/{session}").status_code for session in sessions.values()]
    assert sorted(answers) == [200, 404]
    service.sessions()


def begun_together(service: Service, calls: int) -> list[httpx.Response]:
    """The answers to so many calls that begin at once, each over a connection of its own."""
    with ThreadPoolExecutor(calls) as callers:
        return list(callers.map(lambda _: service.request("POST", "/sessions", json={}), range(calls)))


def test_as_many_calls_as_there_are_places_are_taken_and_every_worker_carries_its_share(service: Service) -> None:
    answers = begun_together(service, MOST)
    assert [answer.status_code for answer in answers] == [200] * MOST
    by_worker = Counter(answer.json()["session_id"].split("_")[1] for answer in answers)
    # Each worker knows what it sent to the other, not what the other has in hand: one call more or less.
    assert min(by_worker["w0"], by_worker["w1"]) >= MOST // 2 - 1, by_worker


def test_no_worker_refuses_a_call_while_there_is_room_and_none_takes_one_more(service: Service) -> None:
    answers = begun_together(service, 2 * MOST)
    refused = [answer for answer in answers if answer.status_code == 503]
    assert Counter(answer.status_code for answer in answers) == {200: MOST, 503: MOST}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert service.request("GET", "/sessions").json()["available_slots"] == 0


def test_the_places_of_a_worker_that_dies_are_free_again(service: Service) -> None:
    begun_together(service, MOST)
    os.kill(service.children()[0], signal.SIGKILL)
    until(service.ready)
    left = service.request("GET", "/sessions").json()
    assert 0 < left["active_count"] < MOST
    assert left["available_slots"] == MOST - left["active_count"]


def test_an_id_that_a_client_chose_is_taken_once_whichever_worker_is_asked(service: Service) -> None:
    answers = [service.request("POST", "/sessions", json={"session_id": "mine"}).status_code for _ in range(6)]
    assert sorted(answers) == [200, 400, 400, 400, 400, 400]


def test_ctrl_c_leaves_nothing(service: Service) -> None:
    workers = service.children()
    assert len(workers) == 2
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=TIMEOUT_S) == 0
    assert not any(command(pid) for pid in workers)


def test_workers_do_not_outlive_a_parent_that_is_killed(service: Service) -> None:
    workers = service.children()
    assert len(workers) == 2
    service.process.kill()
    until(lambda: not any("workers" in command(pid) for pid in workers))


def test_an_id_names_its_owner() -> None:
    worker = Worker(1, (1001, 1002, 1003), "", -1)
    other = Worker(2, worker.ports, "", -1)
    assert worker.owners(other.new_id("rtc")) == [2]
    assert worker.owners(worker.new_id("sess")) == []
    assert worker.owners("rtc_w9_x") == []
    assert worker.owners("mine") == [0, 2]


def test_a_short_lived_key_of_one_worker_is_taken_by_another() -> None:
    value, _ = Keys(None, secret="shared").client_secret({"instructions": "Hi."}, lifetime_s=60)
    assert Keys(None, secret="shared").session_of(value) == {"instructions": "Hi."}
    assert Keys(None).session_of(value) is None


def test_pages_are_summed_series_by_series() -> None:
    one = '# HELP a A.\n# TYPE a counter\na{x="1 2"} 1.0\n# HELP goassist_frame_lateness_seconds L.\n'
    one += 'goassist_frame_lateness_seconds{quantile="1"} 0.5\n'
    two = '# HELP a A.\n# TYPE a counter\na{x="1 2"} 2.0\na{x="3"} 4.0\n# HELP goassist_frame_lateness_seconds L.\n'
    two += 'goassist_frame_lateness_seconds{quantile="1"} 0.2\n'
    assert summed([one, two]) == (
        '# HELP a A.\n# TYPE a counter\na{x="1 2"} 3.0\na{x="3"} 4.0\n# HELP goassist_frame_lateness_seconds L.\n'
        'goassist_frame_lateness_seconds{quantile="1"} 0.5\n'
    )
