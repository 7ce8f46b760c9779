"""The numbers by which the endpointer decides."""

from dataclasses import dataclass

SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Rules:
    """How the endpointer decides. Times in milliseconds of silence, levels in dB."""

    threshold: float = 0.5
    release_threshold: float = 0.35
    onset_ms: int = 32  # voice needed before speech counts as begun
    prefix_ms: int = 300  # sound before the onset that belongs to the utterance
    hesitation_ms: int = 60  # silence that may become a pause: time to speculate on what is certain already
    # Time to ask the end-of-turn model, which takes longer than the recogniser. The longer the silence that it hears,
    # the likelier it thinks any turn over; after 70 to 130 ms it tells ends best (docs/benchmarks-history.md).
    judge_ms: int = 90
    pause_ms: int = 120  # a pause: time to ask the recogniser
    fall_db: float = 20.0  # the level this far under the utterance's is silence, whatever the detector says
    # The silence that ends a turn, by how complete the words are. 840 ms outlast a pause of 700 ms between a soft sound
    # and another.
    complete_ms: int = 200
    unclear_ms: int = 840
    dictated_ms: int = 1200
    trailing_ms: int = 1400
    unheard_ms: int = 840  # nothing was recognised yet
    words_ms: int = 480  # what was understood while one spoke may lack the last word: the recogniser is waited for
    opinion_ms: int = 360  # complete words wait so long for an opinion of the end-of-turn model that is on its way
    # The meaning of the end-of-turn model's probability. Where people speak it is over `model_certain` at more than
    # half of the ends and at one of nine pauses, and under `model_denies` at one of eight ends and more than half of
    # the pauses (docs/benchmarks-history.md).
    model_certain: float = 0.96
    # In noise it is so much surer of everything, and its certainty counts from here on. A silence is noisy that is less
    # than `noisy_db` under the utterance's loudest window.
    model_certain_in_noise: float = 0.975
    noisy_db: float = 30.0
    model_sure: float = 0.85
    model_inclined: float = 0.6
    model_doubts: float = 0.3
    model_denies: float = 0.15
    # The silence that ends a turn by that: `agreed_ms` where it is certain. Words that are complete wait as long where
    # it is sure or inclined to think so, `open_ms` where it cannot tell, `doubted_ms` where it doubts, and `denied_ms`
    # where it denies it and did so rightly before.
    # Without such words, and of who has paused in this turn, it is `sure_ms`, `inclined_ms`, `incomplete_ms` and
    # `denied_ms`, which outlast nearly all pauses of people (1.7 s); words that trail off or are dictated wait
    # `unclear_ms` at least. Where the words are guessed, too, and it has doubted in vain, it is `guessed_ms`.
    # Who asks for an answer, and has not paused, waits `asked_ms` where it doubts or denies, `complete_ms` else. Of a
    # speaker whom it does not understand, statements that it doubts wait `misjudged_ms`.
    agreed_ms: int = 240
    open_ms: int = 280
    asked_ms: int = 320
    sure_ms: int = 500
    inclined_ms: int = 840
    doubted_ms: int = 840
    misjudged_ms: int = 640
    incomplete_ms: int = 1800
    denied_ms: int = 2000
    guessed_ms: int = 1000
    # Words whose probability is under `trusted` tell nothing. pocketsphinx is 0.86 sure of what it understands (word
    # error rate 4 %) and 0.45 sure of voices that it does not (75 %). Then the model alone decides. Only where words of
    # a probability over `plausible` trail off or are dictated, the turn waits `unclear_ms` at least, and where they are
    # a question, it is one: a caller's first may be 0.45 sure, and few ask by chance (docs/benchmarks-history.md).
    trusted: float = 0.62
    plausible: float = 0.4
    # A speaker whose ends the model doubted so many times more often in vain than rightly is judged by words alone.
    vain_doubts: int = 2
    # Who has paused in this turn, for `hesitation_lasts_ms` at least, may well pause again: the turn's end waits
    # `hesitant_ms` where the model does not tell.
    hesitation_lasts_ms: int = 200
    hesitant_ms: int = 960
    stirring_ms: int = 128  # so long the turn's end is put off where a voice seems to begin again, softly
    # While the agent is heard, sound so far under the speaker's usual loudest is somebody else in the background. Where
    # a voice stays `distant_db` under it, that is a background that was a little louder, and no reason to pause the
    # agent again before it has been quiet for `wary_ms`. The onset is given less: many words begin softly.
    faint_db: float = 18.0
    distant_db: float = 12.0
    wary_ms: int = 1000
    # Who goes on within `cut_off_ms` of the turn's end was cut off: this turn and the next ones are given `patient_ms`.
    # The model is believed all the same where it is certain, until they are cut off again: then those turns are given
    # `patient_certain_ms`.
    cut_off_ms: int = 700
    patient_ms: int = 840
    patient_certain_ms: int = 500
    patient_turns: int = 2
    rest_ms: int = 200  # who goes on within this is heard as the rest of that turn: an echo of the answer comes later
    fixed_ms: int | None = None  # the client's own silence_duration_ms: nothing else counts
    english: bool = True  # the user's words can be judged; of other languages only the punctuation

    def trusts(self, confidence: float | None) -> bool:
        """Whether words of that probability (0 to 1; None: the recogniser tells none) were understood, not guessed."""
        return confidence is None or confidence >= self.trusted

    def finds_plausible(self, confidence: float | None) -> bool:
        """Whether words of that probability, guessed or not, tell more than nothing."""
        return confidence is None or confidence >= self.plausible
