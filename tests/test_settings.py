"""Settings come from the environment and .env, and wrong ones are explained."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from orchestrator.errors import ConfigurationError
from orchestrator.settings import PROJECT, SECRETS, Settings, load_settings

EXAMPLE = (PROJECT / ".env.example").read_text()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return str(caught.value)


def test_the_example_names_every_setting_once() -> None:
    names = re.findall(r"^(?:## )?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_is_valid_and_its_plain_lines_are_the_defaults(tmp_path: Path) -> None:
    defaults = load_settings()
    (tmp_path / ".env").write_text(EXAMPLE)
    assert load_settings() == defaults
    (tmp_path / ".env").write_text(EXAMPLE.replace("## ", ""))
    changed = load_settings()
    optional = {name.lower() for name in re.findall(r"^## ([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)}
    for name in Settings.model_fields:
        assert (getattr(changed, name) != getattr(defaults, name)) == (name in optional), name


def test_each_line_of_the_example_has_its_comment() -> None:
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("# "):
            above = next(each for each in reversed(lines[:number]) if "=" not in each or each.startswith("# "))
            assert above.startswith("# "), line


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("API_PORT=9001\nVOICE=rms\nANOTHER_PROGRAMS=1\n")
    assert (load_settings().api_port, load_settings().voice) == (9001, "rms")
    monkeypatch.setenv("API_PORT", "9002")
    assert load_settings().api_port == 9002
    assert load_settings(api_port=9003, voice=None).api_port == 9003


def test_every_wrong_setting_is_named_with_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, API_PORT="http", LOG_LEVEL="loud", TRITON_URL="http://localhost:8001")
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("API_PORT cannot be 'http'. Wanted: TCP port")
    assert all("Set it in the environment or in .env." in line for line in lines)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, API_KEY="hunter2")
    assert "API_KEY" in text
    assert "hunter2" not in text


def test_secrets_are_kept_out_of_what_is_printed() -> None:
    settings = load_settings(api_key="a-long-secret")
    assert "a-long-secret" not in repr(settings)
    assert settings.api_key == SecretStr("a-long-secret")
    annotated = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert annotated == SECRETS


def test_a_turn_server_without_credentials_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, WEBRTC_TURN_SERVER="turn:turn.example.org")
    assert "WEBRTC_TURN_SECRET" in text


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "")
    assert load_settings().api_key is None


def test_lists_are_separated_by_commas_and_levels_may_be_written_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBRTC_HOSTS", "192.0.2.1, 192.0.2.2,")
    monkeypatch.setenv("LOG_LEVEL", "warn")
    settings = load_settings()
    assert settings.webrtc_hosts == ("192.0.2.1", "192.0.2.2")
    assert settings.log_level == "WARNING"


def test_origins_are_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://Example.org/, http://localhost:3000")
    assert load_settings().allowed_origins == ("https://example.org", "http://localhost:3000")


@pytest.mark.parametrize("origins", ["*", "example.org", "https://example.org/page", "https://*.example.org"])
def test_what_no_browser_sends_is_no_origin(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    text = refused(monkeypatch, ALLOWED_ORIGINS=origins)
    assert text.startswith(
        f"ALLOWED_ORIGINS cannot be '{origins}'. Wanted: other web sites whose pages may call, such as "
    )


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load_settings().api_port = 1
