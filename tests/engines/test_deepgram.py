"""asr by Deepgram's streaming protocol, against a server that speaks it: the engine alone, and in a real Triton."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.deepgram import Deepgram, Utterance
from engines.errors import EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.transcriber import Ask, Hypothesis, Piece
from orchestrator.errors import BackendRejectedError, BackendUnavailableError, ConfigurationError
from orchestrator.triton.asr import Transcript, TritonAsr
from orchestrator.triton.client import TritonClient
from tests.servers.deepgram import KEY, DeepgramServer, run_deepgram_server
from tests.servers.triton import MODEL_REPOSITORY, RunningTriton, run_triton

HALF_SECOND = bytes(16_000)


@pytest.fixture
def deepgram() -> Iterator[DeepgramServer]:
    with run_deepgram_server() as server:
        yield server


@pytest.fixture
def engine(deepgram: DeepgramServer) -> Iterator[Deepgram]:
    opened = Deepgram(KEY, url=deepgram.url, hotwords="Triton")
    yield opened
    opened.close()


class Asked:
    """A piece that waits for its answer."""

    def __init__(self, engine: Deepgram, utterance: Utterance, sound: bytes, ask: Ask) -> None:
        self._answered = threading.Event()
        self._outcome: list[Hypothesis | BaseException] = []
        engine.transcribe([Piece(utterance, sound, ask, self._answer)])

    def _answer(self, outcome: Hypothesis | BaseException, engine_s: float) -> None:
        self._outcome.append(outcome)
        self._answered.set()

    def outcome(self) -> Hypothesis:
        assert self._answered.wait(10)
        (outcome,) = self._outcome
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def ask(engine: Deepgram, utterance: Utterance, sound: bytes, ask: Ask) -> Hypothesis:
    return Asked(engine, utterance, sound, ask).outcome()


def test_words_become_stable_when_deepgram_calls_them_final(engine: Deepgram) -> None:
    utterance = engine.open(language=None, hotwords=None)
    heard: list[Hypothesis] = []
    for _ in range(12):
        heard.append(ask(engine, utterance, HALF_SECOND, Ask.PARTIAL))
    final = ask(engine, utterance, b"", Ask.FINAL)
    assert final.text == "Zero One Two Three Four Five Six Seven Eight Nine Zero One"
    for earlier, later in zip(heard, [*heard[1:], final], strict=True):
        assert later.stable_chars >= earlier.stable_chars
        assert later.text[: earlier.stable_chars] == earlier.text[: earlier.stable_chars]
    assert (final.is_final, final.stable_chars) == (True, len(final.text))
    assert [(word.text, word.start_s, word.end_s, word.probability) for word in final.words[:2]] == [
        ("Zero", 0.0, 0.4, 0.9),
        ("One", 0.5, 0.9, 0.9),
    ]


def test_flush_finalizes_and_the_utterance_goes_on(engine: Deepgram, deepgram: DeepgramServer) -> None:
    utterance = engine.open(language=None, hotwords=None)
    flushed = ask(engine, utterance, HALF_SECOND * 3, Ask.FLUSH)
    assert (flushed.text, flushed.is_final, len(flushed.words)) == ("Zero One Two", True, 3)
    assert ask(engine, utterance, HALF_SECOND, Ask.FINAL).text == "Zero One Two Three"
    assert deepgram.controls == ["Finalize", "CloseStream"]


def test_a_flush_that_deepgram_does_not_answer_is_answered_by_what_is_known(
    engine: Deepgram, deepgram: DeepgramServer
) -> None:
    deepgram.fault = "mute"
    utterance = engine.open(language=None, hotwords=None)
    assert ask(engine, utterance, HALF_SECOND * 2, Ask.FLUSH).text == "Zero One"


def test_the_stream_is_asked_for_with_the_format_the_language_and_the_hotwords(
    engine: Deepgram, deepgram: DeepgramServer
) -> None:
    ask(engine, engine.open(language="de", hotwords="GoAssist, barge-in"), HALF_SECOND, Ask.FINAL)
    (query,) = deepgram.queries
    assert query["encoding"] == ["linear16"]
    assert query["sample_rate"] == ["16000"]
    assert query["interim_results"] == ["true"]
    assert query["language"] == ["de"]
    assert query["model"] == ["nova-3"]
    assert query["keyterm"] == ["Triton", "GoAssist", "barge-in"]


def test_a_forgotten_utterance_ends_its_stream(engine: Deepgram, deepgram: DeepgramServer) -> None:
    utterance = engine.open(language=None, hotwords=None)
    ask(engine, utterance, HALF_SECOND, Ask.PARTIAL)
    engine.forget(utterance)
    assert deepgram.closed.acquire(timeout=5)


def test_a_wrong_key_is_told(deepgram: DeepgramServer) -> None:
    engine = Deepgram("wrong", url=deepgram.url)
    utterance = engine.open(language=None, hotwords=None)
    with pytest.raises(EngineUnavailableError, match=r"refused the key.*DEEPGRAM_API_KEY"):
        ask(engine, utterance, HALF_SECOND, Ask.PARTIAL)
    engine.close()


def test_a_language_that_deepgram_does_not_know_is_an_invalid_input(engine: Deepgram) -> None:
    utterance = engine.open(language="tlh", hotwords=None)
    with pytest.raises(InvalidInputError, match="tlh"):
        ask(engine, utterance, HALF_SECOND, Ask.PARTIAL)


@pytest.mark.parametrize(("fault", "reason"), [("drop", "Deepgram"), ("error", "told to fail")])
def test_a_stream_that_fails_answers_the_rest_with_the_reason_and_the_next_works(
    engine: Deepgram, deepgram: DeepgramServer, fault: str, reason: str
) -> None:
    deepgram.fault = fault  # type: ignore[assignment]
    utterance = engine.open(language=None, hotwords=None)
    asked = [Asked(engine, utterance, HALF_SECOND, Ask.PARTIAL), Asked(engine, utterance, b"", Ask.FLUSH)]
    asked += [Asked(engine, utterance, HALF_SECOND, Ask.FINAL)]
    for each in asked[1:]:  # the first one may have been answered before the failure
        with pytest.raises(EngineUnavailableError, match=reason):
            each.outcome()
    deepgram.fault = "none"
    assert ask(engine, engine.open(language=None, hotwords=None), HALF_SECOND, Ask.FINAL).text == "Zero"


def test_a_server_that_is_not_there_is_told() -> None:
    engine = Deepgram(KEY, url="ws://127.0.0.1:9/v1/listen")
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        ask(engine, engine.open(language=None, hotwords=None), HALF_SECOND, Ask.FINAL)
    engine.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1/listen", "ws://127.0.0.1:no-port/v1/listen"])
def test_an_address_that_is_none_is_told_with_each_piece(url: str) -> None:
    engine = Deepgram(KEY, url=url)
    utterance = engine.open(language=None, hotwords=None)
    for wanted in (Ask.PARTIAL, Ask.FLUSH, Ask.FINAL):
        with pytest.raises(EngineUnavailableError, match="Deepgram failed: "):
            ask(engine, utterance, HALF_SECOND, wanted)
    engine.close()


@pytest.mark.parametrize("wanted", [Ask.FLUSH, Ask.FINAL])
def test_a_message_unlike_those_that_are_described_is_told_with_each_piece(
    engine: Deepgram, deepgram: DeepgramServer, wanted: Ask
) -> None:
    deepgram.fault = "strange"
    utterance = engine.open(language=None, hotwords=None)
    asked = [Asked(engine, utterance, HALF_SECOND, wanted), Asked(engine, utterance, b"", Ask.FINAL)]
    for each in asked[: 1 if wanted is Ask.FINAL else 2]:
        with pytest.raises(EngineUnavailableError, match="Deepgram failed: KeyError: 'channel'"):
            each.outcome()


def test_closing_answers_what_waits(deepgram: DeepgramServer) -> None:
    deepgram.fault = "mute"
    engine = Deepgram(KEY, url=deepgram.url)
    utterance = engine.open(language=None, hotwords=None)
    ask(engine, utterance, HALF_SECOND, Ask.PARTIAL)
    asked = [Asked(engine, utterance, HALF_SECOND, Ask.FLUSH), Asked(engine, utterance, HALF_SECOND, Ask.PARTIAL)]
    engine.close()
    for each in asked:
        with pytest.raises(EngineUnavailableError, match="unloaded"):
            each.outcome()


def test_without_a_key_the_message_says_where_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    with pytest.raises(ModelSetupError, match="DEEPGRAM_API_KEY"):
        Deepgram.from_parameters({"engine": "deepgram"})


def repository(folder: Path, **parameters: str) -> Path:
    """A model repository with an asr that is served by Deepgram."""
    shutil.copytree(MODEL_REPOSITORY / "asr", folder / "asr", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "asr" / "configs" / "embedded.pbtxt"
    lines = [line for line in path.read_text().splitlines() if 'key: "engine"' not in line]
    for name, value in {"engine": "deepgram", **parameters}.items():
        lines.append(f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}')
    path.write_text("\n".join(lines))
    return folder


@pytest.fixture
def triton(deepgram: DeepgramServer, tmp_path: Path) -> Iterator[RunningTriton]:
    models = repository(tmp_path, url=deepgram.url)
    with run_triton(models, config_name="embedded", environment={"DEEPGRAM_API_KEY": KEY}) as running:
        yield running


async def test_triton_serves_deepgram_with_the_tensors_of_every_asr(
    triton: RunningTriton, deepgram: DeepgramServer
) -> None:
    client = TritonClient(triton.grpc_url)
    partial: list[Transcript] = []

    async def spoken(language: str | None) -> Transcript:
        async with TritonAsr(client).utterance(on_partial=partial.append, language=language) as utterance:
            utterance.send(HALF_SECOND * 6)
            flushed = await utterance.flush()
            assert flushed.text == "Zero One Two Three Four Five"
            utterance.send(HALF_SECOND)
            return await utterance.finish()

    for final in await asyncio.gather(*(spoken(None) for _ in range(4))):
        assert final.text == "Zero One Two Three Four Five Six"
        assert final.words[-1].start_s == 3.0
    with pytest.raises(BackendRejectedError, match="tlh"):
        await spoken("tlh")
    deepgram.fault = "error"
    with pytest.raises(BackendUnavailableError, match="told to fail"):
        await spoken(None)
    deepgram.fault = "none"
    assert (await spoken("en")).is_final
    await client.close()


def test_triton_does_not_start_without_a_key_and_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="DEEPGRAM_API_KEY"),
        run_triton(repository(tmp_path), config_name="embedded", environment={"DEEPGRAM_API_KEY": ""}),
    ):
        pass
