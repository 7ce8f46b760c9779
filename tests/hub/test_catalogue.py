import re
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.hub.catalogue import CATALOGUE, PROFILES, chosen

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def names(models: list[str], profile: str | None) -> set[str]:
    return {weights.name for weights in chosen(models, profile)}


def test_without_a_wish_the_default_profile_is_meant() -> None:
    assert names([], None) == set(PROFILES["gpu"])


def test_models_can_be_named_instead_of_a_profile_or_beside_one() -> None:
    assert names(["kokoro"], None) == {"kokoro"}
    assert names(["xtts"], "embedded") == {"xtts", "turn"}
    assert len(chosen(["kokoro", "kokoro"], None)) == 1


def test_what_is_unknown_is_answered_with_what_is_known() -> None:
    with pytest.raises(ConfigurationError, match=r"no model 'whisper'.*whisper-base\.en"):
        chosen(["whisper"], None)
    with pytest.raises(ConfigurationError, match=r"no profile 'tpu'.*gpu, cpu, embedded"):
        chosen([], "tpu")


def test_a_profile_needs_no_licence_with_conditions() -> None:
    assert [name for profile in PROFILES.values() for name in profile if CATALOGUE[name].conditions] == []


def test_every_folder_that_a_model_is_configured_with_can_be_pulled() -> None:
    configured = {
        folder
        for path in [*REPOSITORY.rglob("*.pbtxt"), *REPOSITORY.rglob("1/*.json")]
        for folder in re.findall(r'"models/([\w.-]+)', path.read_text())
    }
    assert len(configured) >= 3
    assert configured <= CATALOGUE.keys()
