import logging

import pytest

from orchestrator.triton.server_log import ServerLog

FAILED = (
    rb"""E1122 16:34:02.330637 11092 model_lifecycle.cc:642] "failed to load 'asr' version 1: Internal: """
    rb"""RuntimeError: no \"words\"\nsecond line\n\nAt:\n  /models/asr/1/model.py(4): initialize\n" """
)


def test_the_reason_for_a_failed_load_is_what_the_model_said() -> None:
    log = ServerLog()
    log.feed(FAILED + b"\n")
    assert log.failures == {"asr": 'RuntimeError: no "words"\nsecond line'}


def test_lines_are_understood_however_the_output_is_cut() -> None:
    log = ServerLog()
    for byte in FAILED + b"\n":
        log.feed(bytes([byte]))
    assert list(log.failures) == ["asr"]


def test_the_first_reason_of_a_model_is_kept() -> None:
    log = ServerLog()
    log.feed(
        b"I1122 16:34:03.398242 11130 pb_stub.cc:2105]  Failed to preinitialize Python stub: Python model file not "
        b"found in '/models/tts/1/model.py'\n"
        b"E1122 16:34:03.4 11092 model_lifecycle.cc:642] \"failed to load 'tts' version 1: Internal: stub died\"\n"
    )
    assert log.failures == {"tts": "/models/tts/1/model.py does not exist"}


def test_a_configuration_that_cannot_be_read_counts_against_its_model() -> None:
    log = ServerLog()
    log.feed(
        b"E1122 16:34:23.389562 11181 model_repository_manager.cc:1460] \"Poll failed for model directory 'llm': "
        b'failed to read text proto from /models/llm/config.pbtxt"\n'
    )
    assert log.failures == {"llm": "failed to read text proto from /models/llm/config.pbtxt"}


def test_what_stops_the_server_itself_is_kept() -> None:
    log = ServerLog()
    log.feed(
        b'E1122 16:34:27.935056 11253 main.cc:245] "failed to start GRPC service: Unavailable - Socket '
        b"'127.0.0.1:18001' already in use \"\n"
    )
    assert log.fatal == ["failed to start GRPC service: Unavailable - Socket '127.0.0.1:18001' already in use"]


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (b'I1122 16:33:36.3 1 model_lifecycle.cc:472] "loading: asr:1"', logging.DEBUG, "loading: asr:1"),
        (b'I1122 16:33:36.3 1 serving.py:4] "voices loaded"', logging.INFO, "voices loaded"),
        (b'W1122 16:33:36.3 1 metrics.cc:798] "DCGM unable to start"', logging.WARNING, "DCGM unable to start"),
        (b'E1122 16:33:36.3 1 backend_model.cc:692] "ERROR: no"', logging.ERROR, "ERROR: no"),
        (b"printed by a model", logging.INFO, "printed by a model"),
        (b"| asr | 1 | READY |", logging.DEBUG, "| asr | 1 | READY |"),
        (
            b'E1122 16:33:36.3 1 server.cc:241] "CudaDriverHelper has not been initialized."',
            logging.DEBUG,
            "CudaDriverHelper has not been initialized.",
        ),
    ],
)
def test_severities_become_levels(line: bytes, level: int, message: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "goassist.triton"):
        ServerLog().feed(line + b"\n")
    assert caplog.record_tuples == [("goassist.triton", level, message)]
