import pytest

from engines import transcriber
from engines.errors import ModelSetupError


@pytest.mark.parametrize("parameters", [{}, {"engine": ""}, {"engine": "parrot"}])
def test_an_unknown_engine_is_answered_with_those_there_are(parameters: dict[str, str]) -> None:
    with pytest.raises(ModelSetupError, match="set its parameter 'engine' to one of pocketsphinx, faster-whisper"):
        transcriber.load(parameters)


def test_the_engine_that_the_parameter_names_is_made_with_its_own_parameters() -> None:
    engine = transcriber.load({"engine": "pocketsphinx", "workers": "1", "decoders": "1"})
    assert engine.open(language="en", hotwords=None) is not None
    engine.close()
