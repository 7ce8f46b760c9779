"""What the stand-in models of the benchmarks say, and how fast: the same for every server that is measured.

GoAssist's run as Triton models (model_repository), pipecat's as services in its own process and environment
(pipecat_server.py): this module needs nothing but Python.
"""

import array
import math

# Recognition: the final transcript comes so long after it was asked for; the words come with the first quarter second
# of voice.
FINAL_S = 0.030
SENTENCE = "could you tell me the weather for this afternoon"
WORD_S = 0.25
VOICE_RMS = 200.0

# The language model: always the same answer, whose first sentence has four words.
FIRST_TOKEN_S = 0.050
TOKENS_PER_S = 30
ANSWER = (
    "Okay here it is. The forecast for this afternoon is mostly sunny with a light breeze from the west."
    " Temperatures should stay close to twenty one degrees until the early evening hours."
    " You might want to bring a thin jacket if you plan on staying out late tonight."
)
TOKENS = [f" {word}" if index else word for index, word in enumerate(ANSWER.split(" "))]

# Synthesis: a tone as long as the text, in chunks.
FIRST_CHUNK_S = 0.030
REAL_TIME_FACTOR = 0.05
SAMPLE_RATE = 24_000
CHUNK_S = 0.040
SECONDS_PER_CHARACTER = 0.03
AMPLITUDE, TONE_HZ = 9_000, 450  # whole periods fit into a chunk
_SAMPLES = range(int(CHUNK_S * SAMPLE_RATE))
CHUNK = array.array("h", (int(AMPLITUDE * math.sin(2 * math.pi * TONE_HZ * i / SAMPLE_RATE)) for i in _SAMPLES))


def token_s(index: int) -> float:
    """When token `index` comes, in seconds after the request."""
    return FIRST_TOKEN_S + index / TOKENS_PER_S


def chunks(text: str) -> int:
    """How many chunks of sound a text has."""
    return max(1, round(len(text) * SECONDS_PER_CHARACTER / CHUNK_S))


def chunk_s(index: int) -> float:
    """When chunk `index` of the sound comes, in seconds after the request."""
    return FIRST_CHUNK_S + index * CHUNK_S * REAL_TIME_FACTOR
