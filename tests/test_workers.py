"""Two real workers behind one port."""

import os
import re
import resource
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

    def metrics(self) -> dict[str, float]:
        """Every series of the metrics page."""
        page = self.request("GET", "/metrics").text
        return {series: float(value) for series, value in re.findall(r"^([^#\s]\S*) (\S+)$", page, re.MULTILINE)}

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


def ended(pid: int) -> bool:
    """Whether nothing is left of a process, or its exit status only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


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

    values = service.metrics()
    assert values["goassist_sessions_active"] == listed["active_count"]
    for path in ("/health", "/healthz"):
        components = service.request("GET", path).json()["components"]
        assert components["sessions"] == {"status": "up", "active": listed["active_count"], "limit": MOST}
        assert components["workers"] == {"status": "up", "count": 2, "missing": []}
    resident = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in service.children()]
    assert len(resident) == 2
    assert values["process_resident_memory_bytes"] == pytest.approx(sum(resident), rel=0.1)
    assert values["process_cpu_seconds_total"] > 0

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
    victim = service.children()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: ended(victim))
    until(service.ready)
    left = service.request("GET", "/sessions").json()
    assert 0 < left["active_count"] < MOST
    assert left["available_slots"] == MOST - left["active_count"]


def killed(service: Service) -> int:
    """A worker that died and cannot be restarted, as its parent may open no further file; its process id."""
    victim, parent = service.children()[0], service.process.pid
    _, hard = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(victim, signal.SIGKILL)
    until(lambda: ended(victim))  # its connections outlive its command line
    return victim


def allow_restart(service: Service) -> None:
    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_calls_go_to_the_others_while_a_worker_is_down(service: Service) -> None:
    service.sessions()
    killed(service)
    # Each connection reaches the one that is left, which has more calls than the dead one.
    begun = [service.request("POST", "/sessions", json={}) for _ in range(3)]
    assert [answer.status_code for answer in begun] == [200] * 3
    health = service.request("GET", "/health")
    assert health.status_code == 503
    assert health.json()["components"]["workers"]["status"] == "down"
    assert len(health.json()["components"]["workers"]["missing"]) == 1
    assert service.request("GET", "/readyz").status_code == 503
    allow_restart(service)
    until(service.ready)
    assert {service.request("POST", "/sessions", json={}).status_code for _ in range(2)} == {200}


def test_a_worker_that_cannot_be_restarted_costs_the_others_nothing(service: Service) -> None:
    sessions = service.sessions()
    victim = killed(service)
    time.sleep(1.0)  # several attempts
    assert service.process.poll() is None
    assert victim not in service.children()
    (left,) = service.children()
    answers = {service.request("GET", f"/sessions/{session}").status_code for session in sessions.values()}
    assert answers == {200, 503}, "the other's calls go on; those of the dead one are said to be lost for now"
    allow_restart(service)
    until(lambda: len(service.children()) == 2 and service.ready())
    assert left in service.children()


def test_counters_do_not_fall_when_a_worker_dies_and_when_it_is_back(service: Service) -> None:
    service.sessions()
    before = service.metrics()
    started = before['goassist_sessions_total{transport="http"}']
    assert started >= 2
    killed(service)
    without = service.metrics()
    allow_restart(service)
    until(service.ready)
    service.request("POST", "/sessions", json={})
    after = service.metrics()
    for series, value in before.items():
        if re.search(r"_(total|count|sum|bucket)\b", series):
            assert value <= without[series] <= after[series], series
    assert after['goassist_sessions_total{transport="http"}'] == started + 1
    assert without["goassist_sessions_active"] < before["goassist_sessions_active"]
    assert without["process_resident_memory_bytes"] < 0.7 * before["process_resident_memory_bytes"]
    assert after["process_resident_memory_bytes"] > 1.4 * without["process_resident_memory_bytes"]


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
    worker = Worker(1, (1001, 1002, 1003), "", -1, -1)
    other = Worker(2, worker.ports, "", -1, -1)
    assert worker.owners(other.new_id("rtc")) == [2]
    assert worker.owners(worker.new_id("sess")) == []
    assert worker.owners("rtc_w9_x") == [0, 2], "a client chose it"
    assert worker.owners("mine") == [0, 2]


def test_a_short_lived_key_of_one_worker_is_taken_by_another() -> None:
    value, _ = Keys(None, secret="shared").client_secret({"instructions": "Hi."}, lifetime_s=60)
    assert Keys(None, secret="shared").session_of(value) == {"instructions": "Hi."}
    assert Keys(None).session_of(value) is None
