"""The endpointer's waits, documented from its rules: `python -m orchestrator.core.waits > docs/endpointing.md`."""

import sys

from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import Experience
from orchestrator.core.waiting import Waiting

UNDERSTOOD, GUESSED = 0.9, 0.3
# What the words tell, an example of them, and how sure the recogniser is.
WORDS: dict[str, tuple[str, float | None]] = {
    "a question, a request, thanks": ("what time is it", UNDERSTOOD),
    "a complete sentence": ("I live in a small town near the sea", UNDERSTOOD),
    "which may be all or not": ("I like this", UNDERSTOOD),
    "dictated: numbers, letters, addresses": ("my number is five five five", UNDERSTOOD),
    "trailing off": ("I went to the market and", UNDERSTOOD),
    "guessed": ("I live in a small town near the sea", GUESSED),
    "none": ("", None),
}


def opinions(rules: Rules) -> dict[str, float | None]:
    """The bands of the end-of-turn model's probability that the turn is over, and one of each."""
    bounds = [rules.model_certain, rules.model_sure, rules.model_inclined, rules.model_doubts, rules.model_denies]
    return {"no opinion": None, **{f"over {bound:.2f}": bound + 0.01 for bound in bounds}, "less": 0.0}


def wait_ms(words: str, confidence: float | None, opinion: float | None, *, paused: bool, rules: Rules) -> int:
    """The silence that ends the turn of a new speaker; `paused`: there was a pause in it already."""
    waiting = Waiting(rules, Experience())
    waiting.begin()
    if paused:
        waiting.went_on(rules.hesitation_lasts_ms)
    waiting.hear(words, confidence, final=True, paused=True)
    waiting.judge(opinion)
    return waiting.ms()


def table(*, paused: bool, rules: Rules) -> str:
    """The waits as a Markdown table, in ms: words by opinions."""
    bands = opinions(rules)
    lines = [f"| words | {' | '.join(bands)} |", f"|---|{'---:|' * len(bands)}"]
    for name, (words, confidence) in WORDS.items():
        example = f"{name} (*{words}*)" if words and confidence == UNDERSTOOD else name
        waits = [str(wait_ms(words, confidence, each, paused=paused, rules=rules)) for each in bands.values()]
        lines.append(f"| {example} | {' | '.join(waits)} |")
    return "\n".join(lines)


def document() -> str:
    """docs/endpointing.md as it should be."""
    rules = Rules()
    return f"""# When a turn ends

Made from the rules in `orchestrator/core/endpointing_rules.py` by `python -m orchestrator.core.waits`; a test holds it
current. The figures are milliseconds of silence after which the turn of a speaker of whom nothing is known yet ends,
with turn detection `semantic_vad` of eagerness `auto`. `server_vad` waits for its `silence_duration_ms`, whatever was
said.

The columns are the probability that the end-of-turn model (`turn`, Smart Turn) gives, which is asked after
{rules.judge_ms} ms of silence. The rows are what the words tell by themselves (`orchestrator/core/completeness.py`);
*guessed* are those of which the recogniser is less than {rules.trusted:.0%} sure.

{table(paused=False, rules=rules)}

Of who has paused in this turn, for {rules.hesitation_lasts_ms} ms or more:

{table(paused=True, rules=rules)}

Whatever the table says,

- who goes on within {rules.cut_off_ms} ms of a turn's end was cut off, and is given {rules.patient_ms} ms at least in
  the next {rules.patient_turns} turns, unless the model is certain; who is cut off again meanwhile is given
  {rules.patient_certain_ms} ms at least even then;
- in noise, a silence less than {rules.noisy_db:.0f} dB under the utterance's loudest window, the model is certain from
  {rules.model_certain_in_noise} on;
- the recogniser's answer to the pause is awaited for {rules.words_ms} ms, and the model's for {rules.opinion_ms} ms;
- a voice that stirs again, softly, puts the end off by {rules.stirring_ms} ms.

The model is believed as far as it was right about this speaker and the ones before (`core/trust.py`,
`core/experience.py`): where it doubted complete sentences in vain, words alone decide, and statements that it doubts
are given {rules.misjudged_ms} ms, guessed words {rules.guessed_ms} ms.
"""


if __name__ == "__main__":
    sys.stdout.write(document())
