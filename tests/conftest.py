"""Fixtures that several folders of tests share."""

from collections.abc import Iterator

import hypothesis
import pytest

from tests.servers.triton import MODEL_REPOSITORY, TEST_MODELS, RunningTriton, run_triton

# How long one example takes says nothing on a machine that is busy with others.
hypothesis.settings.register_profile("goassist", deadline=None)
hypothesis.settings.load_profile("goassist")


@pytest.fixture(scope="session")
def triton() -> Iterator[RunningTriton]:
    """One server for all tests: the project's models with the embedded profile, and those of tests/servers."""
    with run_triton(MODEL_REPOSITORY, f"--model-repository={TEST_MODELS}") as running:
        yield running
