"""Triton's log: its lines become records of the logger `goassist.triton`, its failures are remembered.

Lines look like `I1122 16:34:02.330663 11092 model_lifecycle.cc:777] "loading: asr:1"`: severity, date,
time, process, source, message. Messages are quoted with \\n and \\" escaped, those of Python stubs are
not. Other lines are tables, continuations, or what a model printed.
"""

import logging
import re

LOGGER = logging.getLogger("goassist.triton")

_LINE = re.compile(r"^([IWEF])\d{4} [\d:.]+ +\d+ ([\w.-]+):\d+\] *(.*)$")
_LEVELS = {"W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}
_ESCAPE = re.compile(r"\\(.)")
_FAILED = re.compile(r"^failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.*)$", re.DOTALL)
_POLL_FAILED = re.compile(r"^Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*)$", re.DOTALL)
_STATUS = re.compile(r"^(?:Internal|Invalid argument|Not found|Unavailable|Unsupported): ")
_NO_FILE = re.compile(r"Python model file not found in '(?P<file>.*/(?P<model>[^/]+)/\d+/[^/]+)'")
_FATAL = re.compile(r"^(?:failed to start (?:GRPC|HTTP|Metrics)|error: creating server|F\d{4} )")
# Said on every machine without a GPU, where they mean nothing.
_WITHOUT_GPU = ("CudaDriverHelper has not been initialized", "Unable to allocate pinned system memory")


class ServerLog:
    """Takes the server's output as it comes and keeps what explains a failed start.

    `failures` maps a model to why it could not be loaded; `fatal` lists what stopped the server itself.
    """

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.fatal: list[str] = []
        self._rest = b""

    def feed(self, output: bytes) -> None:
        """Takes a piece of output, cut anywhere."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(line.decode(errors="replace").rstrip())

    def _take(self, line: str) -> None:
        match = _LINE.match(line)
        severity, source, message = match.groups() if match else ("", "", line)
        if message.startswith('"'):
            message = _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), message.strip().strip('"'))
        message = message.strip()
        self._remember(message)
        if message:
            LOGGER.log(_level(severity, source, message), message)

    def _remember(self, message: str) -> None:
        failed = _FAILED.match(message) or _POLL_FAILED.match(message)
        missing = _NO_FILE.search(message)
        if failed:
            reason = (
                failed["reason"].split("\n\nAt:\n")[0].removeprefix("Internal: ").removeprefix("Invalid argument: ")
            )
            self.failures.setdefault(failed["model"], reason)
        elif missing:
            self.failures.setdefault(missing["model"], f"{missing['file']} does not exist")
        elif _FATAL.match(message):
            self.fatal.append(message)


def _level(severity: str, source: str, message: str) -> int:
    if not severity:  # printed by a model or a library, or a table of the server's settings
        return logging.DEBUG if message.startswith(("+", "|")) else logging.INFO
    if message.startswith(_WITHOUT_GPU):
        return logging.DEBUG
    if severity == "I":
        # The server reports each of its steps; what a Python model says is meant for the operator.
        return logging.INFO if source.endswith(".py") else logging.DEBUG
    return _LEVELS[severity]
