"""The examples of docs/models.md run as they stand, one after another, against a real Triton."""

import re
import shutil
from pathlib import Path

import pytest

from tests.servers.triton import RunningTriton

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
AUDIO = Path(__file__).parents[1] / "audio"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_the_page_has_an_example_for_each_model() -> None:
    code = "\n".join(EXAMPLES)
    assert all(f'"{model}"' in code for model in ("asr", "llm", "tts", "turn"))


def test_the_examples_run(
    triton: RunningTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(AUDIO / "what_time_is_it.wav", tmp_path)
    names: dict[str, object] = {}
    for example in EXAMPLES:
        code = example.replace("localhost:8001", triton.grpc_url)
        exec(compile(code, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "what time is it" in printed
    assert "I can tell you the time" in printed
    assert re.search(r"complete: [01]\.\d\d", printed)
    assert (tmp_path / "hello.wav").stat().st_size > 16_000
