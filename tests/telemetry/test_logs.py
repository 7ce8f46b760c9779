"""Log records become single lines that people and programs can read."""

import json
import logging
import sys

from orchestrator.telemetry.logs import JsonFormatter, LineFormatter


def record(message: str, *args: object, **fields: object) -> logging.LogRecord:
    made = logging.getLogger("orchestrator.test").makeRecord(
        "orchestrator.test", logging.INFO, __file__, 1, message, args, None, extra=fields
    )
    made.created, made.msecs = 1_700_000_000.25, 250.0
    return made


def failure() -> logging.LogRecord:
    try:
        raise ValueError("too far")
    except ValueError:
        made = record("it failed")
        made.exc_info = sys.exc_info()
    return made


def test_a_record_is_a_line_with_its_fields() -> None:
    line = LineFormatter().format(record("session %s", "began", session="rtc_1", ms=1.5, reason="hung up"))
    assert line == (
        '2023-11-14T22:13:20.250Z INFO orchestrator.test session began session=rtc_1 ms=1.5 reason="hung up"'
    )


def test_a_message_cannot_forge_another_line() -> None:
    line = LineFormatter().format(record("path\n2023 INFO forged", path="/x\r\ny=1"))
    assert "\n" not in line
    assert "\r" not in line


def test_a_failure_is_followed_by_its_traceback() -> None:
    first, *rest = LineFormatter().format(failure()).splitlines()
    assert first.endswith("it failed")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: too far"


def test_as_json_a_record_is_one_object_in_one_line() -> None:
    line = JsonFormatter().format(failure())
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["message"] == "it failed"
    assert fields["exception"].endswith("ValueError: too far")
    assert json.loads(JsonFormatter().format(record("x", session="rtc_1")))["session"] == "rtc_1"
