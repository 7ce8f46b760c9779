"""Windows of 32 ms in, signals out; levels are dB of full scale, positions samples of 16 kHz."""

from orchestrator.core.endpointing import Ended, Endpointer, Signal
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import Experience

DEFAULT = Rules()
WINDOW = 512
WINDOW_MS = 32
SPEECH, SILENCE, LINGERING = (0.95, -25.0), (0.02, -70.0), (0.9, -60.0)


class Microphone:
    """Pushes windows into an endpointer and keeps every signal."""

    def __init__(self, rules: Rules | None = None, *, experience: Experience | None = None) -> None:
        self.endpointer = Endpointer(rules, experience)
        self.position = 0
        self.signals: list[Signal] = []

    def hears(self, window: tuple[float, float], ms: int = WINDOW_MS) -> list[Signal]:
        """That window over and over, for `ms`; returns the signals."""
        before = len(self.signals)
        for _ in range(ms // WINDOW_MS):
            self.position += WINDOW
            self.signals += self.endpointer.push(*window, self.position)
        return self.signals[before:]

    def silence_until_the_end_ms(self) -> int:
        """How long it must be silent now for the turn to end."""
        start = self.position
        while not any(isinstance(signal, Ended) for signal in self.hears(SILENCE)):
            assert self.position - start < 16_000 * 10, "the turn never ends"
        return (self.position - start) // 16


def speaking(text: str = "", rules: Rules | None = None) -> Microphone:
    microphone = Microphone(rules)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear(text)
    return microphone


def pausing(microphone: Microphone, ms: int, opinion: float | None = None) -> None:
    """A pause of so many ms, on which the model may have an opinion, and speech again."""
    signals = microphone.hears(SILENCE, min(ms, 128))
    if opinion is not None:
        signals += microphone.endpointer.judge(opinion)
    signals += microphone.hears(SILENCE, ms - 128)
    assert not any(isinstance(signal, Ended) for signal in signals + microphone.hears(SPEECH, 640))
