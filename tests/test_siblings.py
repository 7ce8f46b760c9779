"""A worker and its siblings, some of which do not answer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request

from orchestrator import siblings as under_test
from orchestrator.places import Places, new_places, occupy
from orchestrator.server import HttpServer, http_config
from orchestrator.siblings import HOST, Siblings, Worker
from orchestrator.telemetry.kept import Kept, new_kept

HERE = "http://here"
WORKERS = 3
OWN_PORT = 1  # nobody asks there


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time-outs; but a busy machine may take a while to give the sign of life that those here do give."""
    for name in ("PATIENCE_S", "GATHER_TIMEOUT_S"):
        monkeypatch.setattr(under_test, name, 0.2)
    monkeypatch.setattr(under_test, "SIGN_OF_LIFE_S", 2.0)


def named(name: str, *, after_s: float = 0.0) -> FastAPI:
    """An application whose every session is begun by `name`, after so long."""
    app = FastAPI()

    @app.post("/sessions")
    async def begin() -> dict[str, str]:
        await asyncio.sleep(after_s)
        return {"by": name}

    @app.get("/sessions/{session}")
    async def session(session: str) -> dict[str, str]:
        await asyncio.sleep(after_s)
        return {"of": name}

    @app.post("/sessions/{session}/chat")
    async def chat(session: str, request: Request) -> dict[str, str]:
        return {"session": session, "query": request.url.query}

    @app.get("/livez")
    async def livez() -> None:
        pass

    @app.get("/metrics")
    async def metrics() -> None:
        await asyncio.sleep(after_s)

    return app


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[int]:
    """A sibling; its port."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        started = asyncio.Event()
        server = HttpServer(http_config(app), started.set)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class Mute:
    """Where connections are made and nobody answers: the port of a worker that died, or hangs."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    def was_asked(self) -> bool:
        """Whether anybody has connected."""
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@contextmanager
def mute() -> Iterator[Mute]:
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        yield Mute(listener)


class One:
    """The first worker, which is busy: it sends calls to the others, whose ports these are."""

    def __init__(self, *ports: int) -> None:
        self.places_descriptor, self.kept_descriptor = new_places(WORKERS), new_kept(WORKERS)
        self.worker = Worker(0, (OWN_PORT, *ports), "", self.places_descriptor, self.kept_descriptor)
        self.siblings = Siblings(
            named("the first"),
            worker=self.worker,
            places=self.worker.places(),
            kept=self.worker.kept(),
            has=lambda session: False,
            busy=lambda: True,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.siblings), base_url=HERE)
        occupy(self.places_descriptor, 0)

    def has_started(self, number: int) -> None:
        """So the other worker says."""
        occupy(self.places_descriptor, number)

    async def begins(self, **body: str) -> str:
        """Who begins a session that is asked for here; the status of a refusal."""
        async with asyncio.timeout(30):
            answer = await self.client.post("/sessions", json=body)
        return str(answer.json()["by"]) if answer.status_code == 200 else str(answer.status_code)


@pytest.fixture
def one() -> Iterator[Callable[..., One]]:
    made: list[One] = []

    def make(*ports: int) -> One:
        made.append(One(*ports))
        return made[-1]

    yield make
    for each in made:
        os.close(each.places_descriptor)
        os.close(each.kept_descriptor)


async def test_no_call_is_sent_to_a_worker_that_is_down(one: Callable[..., One]) -> None:
    with mute() as dead, mute() as starting:
        first = one(dead.port, starting.port)
        assert await first.begins() == "the first"
        assert not dead.was_asked()
        assert not starting.was_asked()


async def test_a_call_that_a_worker_does_not_answer_is_begun_by_another(one: Callable[..., One]) -> None:
    with mute() as hanging:
        async with serving(named("the third")) as third:
            first = one(hanging.port, third)
            for number in (1, 2):
                first.has_started(number)
            Places(first.places_descriptor, workers=WORKERS, own=2).note(1)  # so the hanging one comes first
            assert await first.begins() == "the third"
            assert hanging.was_asked()


async def test_where_no_sibling_answers_a_call_is_begun_here(one: Callable[..., One]) -> None:
    with mute() as hanging, mute() as another:
        first = one(hanging.port, another.port)
        for number in (1, 2):
            first.has_started(number)
        assert await first.begins() == "the first"
        assert hanging.was_asked()
        assert another.was_asked()


async def test_a_worker_that_takes_its_time_is_waited_for(one: Callable[..., One]) -> None:
    async with serving(named("the second", after_s=1.0)) as second:
        first = one(second, OWN_PORT)
        first.has_started(1)
        assert await first.begins() == "the second"
        answer = await first.client.get("/sessions/sess_w1_mine")
        assert answer.json() == {"of": "the second"}


async def test_an_id_that_a_client_chose_waits_for_its_worker(one: Callable[..., One]) -> None:
    with mute() as dead:
        first = one(dead.port, dead.port)
        owners = {first.worker.chosen_by(f"room-{number}"): f"room-{number}" for number in range(20)}
        assert await first.begins(session_id=owners[0]) == "the first"
        # Another one would take it a second time once its worker is back.
        assert await first.begins(session_id=owners[1]) == "503"


@pytest.mark.parametrize(("session_id", "begun"), [("sess_w1_mine", "the second"), ("rtc_w2_mine", "the third")])
async def test_a_session_whose_chosen_id_names_a_worker_is_begun_and_sought_there(
    one: Callable[..., One], session_id: str, begun: str
) -> None:
    async with serving(named("the second")) as second, serving(named("the third")) as third:
        first = one(second, third)
        for number in (1, 2):
            first.has_started(number)
        assert await first.begins(session_id=session_id) == begun
        answer = await first.client.get(f"/sessions/{session_id}")
        assert answer.json() == {"of": begun}


@pytest.mark.parametrize("session_id", ["sess_w3_mine", f"sess_w{'9' * 5000}_mine"])
def test_a_chosen_id_that_names_a_worker_that_there_is_not_is_like_any_other(session_id: str) -> None:
    workers = [Worker(number, (OWN_PORT,) * WORKERS, "", -1, -1) for number in range(WORKERS)]
    (begun,) = {worker.chosen_by(session_id) for worker in workers}
    assert all(begun in worker.owners(session_id) for worker in workers if worker.number != begun)


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("a%0Ab", "a\nb"),
        ("a%3Fb", "a?b"),
        ("a%23b", "a#b"),
        ("%C3%A9%00", "é\0"),
        ("a%2520b", "a%20b"),
        ("%2E%2E", ".."),
    ],
)
async def test_a_path_is_handed_on_as_it_came(one: Callable[..., One], path: str, session: str) -> None:
    async with serving(named("the second")) as second:
        first = one(second, OWN_PORT)
        first.has_started(1)
        url = httpx.URL(HERE, raw_path=f"/sessions/{path}/chat?of=%0A%26+x".encode())
        answer = await first.client.post(url)
    assert answer.json() == {"session": session, "query": "of=%0A%26+x"}


async def test_a_request_for_a_session_of_a_worker_that_is_down_is_told_so_at_once(one: Callable[..., One]) -> None:
    with mute() as dead:
        first = one(dead.port, dead.port)
        answer = await first.client.get("/sessions/sess_w1_mine")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert not dead.was_asked(), "it is told at once"
        first.has_started(1)
        assert (await first.client.get("/sessions/sess_w1_mine")).status_code == 503, "it hangs"


def page(count: float, active: float) -> str:
    return f"# TYPE a_total counter\na_total {count}\n# TYPE active gauge\nactive {active}\n"


async def test_of_a_worker_that_is_late_the_last_page_stands_in_the_sum_and_of_a_dead_one_its_counters(
    one: Callable[..., One],
) -> None:
    async with serving(named("the second", after_s=1.0)) as late:
        with mute() as dead:
            first = one(late, dead.port)
            first.has_started(1)
            Kept(first.kept_descriptor, own=0).keep(page(1.0, 10.0))
            Kept(first.kept_descriptor, own=1).keep(page(2.0, 20.0))
            Kept(first.kept_descriptor, own=2).keep(page(4.0, 40.0))
            answer = await first.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.text == page(7.0, 30.0)
