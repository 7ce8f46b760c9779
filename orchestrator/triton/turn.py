"""Triton's `turn` model: is a speaker who paused done? Its opinion is welcome, not needed."""

import logging
import time

import numpy as np

from orchestrator.errors import BackendTimeoutError, GoAssistError
from orchestrator.triton.client import TritonClient

LOGGER = logging.getLogger(__name__)
# An opinion that comes later than this is of no use: the words have decided.
TIMEOUT_S = 0.5
# How long a model that is missing or failing is left alone.
RETRY_AFTER_S = 30.0
SAMPLE_RATE = 16_000
HEARD_S = 8  # what the model takes into account


class TritonTurn:
    """Asks for the probability that a turn is complete."""

    def __init__(self, client: TritonClient, *, model: str = "turn") -> None:
        self._client = client
        self._model = model
        self._quiet_until = 0.0

    async def completion(self, pcm16_16k: bytes) -> float | None:
        """The probability (0 to 1) that the utterance up to its pause is complete; None where nobody can tell.

        `pcm16_16k` is the utterance's sound, of which the last 8 s count.
        """
        if time.monotonic() < self._quiet_until:
            return None
        samples = np.frombuffer(pcm16_16k, "<i2")[-HEARD_S * SAMPLE_RATE :]
        responses = self._client.stream(self._model, {"audio": samples[np.newaxis]}, timeout_s=TIMEOUT_S)
        try:
            async for response in responses:
                return float(response["probability"].item())
        except BackendTimeoutError:
            LOGGER.debug("the end-of-turn model took longer than %.1f s", TIMEOUT_S)
        except GoAssistError as error:
            self._quiet_until = time.monotonic() + RETRY_AFTER_S
            LOGGER.info("endpointing goes by the words alone for %.0f s: %s", RETRY_AFTER_S, error)
        finally:
            await responses.aclose()
        return None
