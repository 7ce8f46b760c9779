"""What a client's choice of turn detection means for endpointing and for the conversation."""

from dataclasses import replace

from orchestrator.config import SessionConfig
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.memory import Policy

# Push-to-talk: no silence ends a turn, the client commits it. An hour outlasts every utterance.
NEVER_MS = 3_600_000

_EAGERNESS = {
    "low": Rules(
        complete_ms=600, unclear_ms=1200, dictated_ms=2000, trailing_ms=2400, unheard_ms=1200, hesitant_ms=1200
    ),
    "medium": Rules(),
    "auto": Rules(),
    "high": Rules(
        complete_ms=200,
        unclear_ms=360,
        dictated_ms=900,
        trailing_ms=1000,
        unheard_ms=480,
        hesitant_ms=360,
        sure_ms=400,
        incomplete_ms=1000,
        denied_ms=1400,
    ),
}


def endpointing_rules(config: SessionConfig) -> Rules:
    """The endpointer's rules for a session."""
    detection = config.turn_detection
    if detection is None:
        return Rules(fixed_ms=NEVER_MS)
    if detection.kind == "semantic_vad":
        english = config.language is None or config.language.lower().startswith("en")
        return replace(_EAGERNESS[detection.eagerness], english=english)
    return replace(
        Rules(),
        threshold=detection.threshold,
        release_threshold=max(0.05, detection.threshold - 0.15),
        prefix_ms=detection.prefix_padding_ms,
        fixed_ms=detection.silence_duration_ms,
    )


def policy(config: SessionConfig) -> Policy:
    """What the conversation does by itself."""
    detection = config.turn_detection
    if detection is None:
        return Policy(create_response=False, interrupt_response=False, speculate=False)
    return Policy(create_response=detection.create_response, interrupt_response=detection.interrupt_response)
