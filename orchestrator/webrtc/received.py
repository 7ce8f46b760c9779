"""What all calls of a process received, those that have ended included."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.webrtc.audio import CallAudio


@dataclass(frozen=True, slots=True)
class Received:
    """Packets of callers' sound, and what was made up for those that did not come (see `AudioCounters`)."""

    packets: int = 0
    lost: int = 0
    concealed: int = 0
    silence_s: float = 0.0


class ReceivedSound:
    """Adds up the counters of calls: of each from `began` on, and for ever once it has `ended`."""

    def __init__(self) -> None:
        self._ended = Received()
        self._going: set[CallAudio] = set()

    def began(self, audio: CallAudio) -> None:
        """A call may receive sound from now on; said again of the same call it changes nothing."""
        self._going.add(audio)

    def ended(self, audio: CallAudio) -> None:
        """It receives none any more; what it did stays counted."""
        if audio in self._going:
            self._ended = _sum(self._ended, [audio])
            self._going.remove(audio)

    @property
    def total(self) -> Received:
        """Of all calls since the process began."""
        return _sum(self._ended, self._going)


def _sum(received: Received, calls: Iterable[CallAudio]) -> Received:
    counted = [call.counters for call in calls]
    return Received(
        received.packets + sum(each.received for each in counted),
        received.lost + sum(each.lost for each in counted),
        received.concealed + sum(each.concealed for each in counted),
        received.silence_s + sum(each.silence_s for each in counted),
    )
