import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engines.errors import InvalidInputError, ModelSetupError
from engines.flite import SAMPLE_RATE, VOICES, Flite
from engines.synthesizer import Samples, Sound, load

# The only voice without noise in its sound, so that one text always sounds the same.
EXACT = "kal16"
FOX = "The quick brown fox jumps over the lazy dog, and then he sleeps."


@pytest.fixture(scope="module")
def flite() -> Iterator[Flite]:
    engine = Flite()
    yield engine
    engine.close()


def say(engine: Flite, text: str, voice: str | None = None, language: str | None = None, speed: float = 1.0) -> Sound:
    return engine.synthesize(text, voice=voice, language=language, speed=speed)


def whole(sound: Sound) -> Samples:
    return np.concatenate([np.empty(0, np.int16), *sound])


@pytest.mark.parametrize("voice", VOICES)
def test_each_voice_speaks_in_chunks_of_at_most_200_ms(flite: Flite, voice: str) -> None:
    chunks = list(say(flite, FOX, voice))
    assert all(chunk.dtype == np.int16 and 0 < len(chunk) <= 0.2 * SAMPLE_RATE for chunk in chunks)
    samples = np.concatenate(chunks)
    assert 2.5 < len(samples) / SAMPLE_RATE < 6
    assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 500


def test_the_voices_differ(flite: Flite) -> None:
    sounds = [whole(say(flite, "Hello.", voice)).tobytes() for voice in VOICES]
    assert len(set(sounds)) == len(VOICES)


def test_the_first_chunk_comes_long_before_the_last(flite: Flite) -> None:
    whole(say(flite, FOX))  # the first use of a voice loads its pages
    started = time.perf_counter()
    sound = say(flite, " ".join([FOX] * 10))
    next(sound)
    first_s = time.perf_counter() - started
    whole(sound)
    assert first_s < 0.25 * (time.perf_counter() - started)


@pytest.mark.parametrize("voice", VOICES)
def test_speech_begins_without_a_silence(flite: Flite, voice: str) -> None:
    samples = whole(say(flite, FOX, voice))
    assert np.flatnonzero(np.abs(samples.astype(int)) >= 300)[0] <= 0.02 * SAMPLE_RATE


@pytest.mark.parametrize("voice", VOICES)
def test_speed_shortens_and_stretches(flite: Flite, voice: str) -> None:
    slow, normal, fast = (len(whole(say(flite, FOX, voice, speed=speed))) for speed in (0.5, 1.0, 2.0))
    assert slow > 1.6 * normal
    assert fast < 0.7 * normal


def test_closing_stops_the_voice(flite: Flite) -> None:
    def work_s(*, closed: bool) -> float:
        """What this process computes until the voice says something else: a busy machine takes longer, and no more."""
        began = time.process_time()
        sound = say(flite, ("and so on " * 29).strip(), "rms")  # one sentence, about 200 ms of work
        next(sound)
        if closed:
            sound.close()
        next(say(flite, "Hi.", "rms"))  # after all that the voice has to say still
        return time.process_time() - began

    whole(say(flite, "Hi.", "rms"))  # the first use of a voice loads its pages
    assert work_s(closed=True) < 0.5 * work_s(closed=False)


def test_a_voice_serves_several_callers_at_once_without_mixing_them_up(flite: Flite) -> None:
    texts = [f"This is caller number {number}." for number in range(5)] * 2
    alone = [whole(say(flite, text, EXACT)) for text in texts]
    together: list[Samples | None] = [None] * len(texts)

    def speak(index: int) -> None:
        together[index] = whole(say(flite, texts[index], EXACT))

    threads = [threading.Thread(target=speak, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    for single, shared in zip(alone, together, strict=True):
        assert shared is not None
        assert np.array_equal(single, shared)


def test_emoji_and_markup_are_not_spoken(flite: Flite) -> None:
    plain = whole(say(flite, "Hello there, my friend!", EXACT))
    marked = "**Hello** 😀 <b>there</b>, _my_ [friend](https://example.org)!👍🏽"
    assert np.array_equal(whole(say(flite, marked, EXACT)), plain)


@pytest.mark.parametrize("text", ["😀", "...", "—", "***", "\u200d"])
def test_a_text_without_a_word_is_silence(flite: Flite, text: str) -> None:
    assert len(whole(say(flite, text))) == 0


def test_words_of_another_script_are_left_out(flite: Flite) -> None:
    assert np.array_equal(whole(say(flite, "hello 你好", EXACT)), whole(say(flite, "hello", EXACT)))


def test_accents_are_dropped_rather_than_the_letters(flite: Flite) -> None:
    assert np.array_equal(whole(say(flite, "café naïve", EXACT)), whole(say(flite, "cafe naive", EXACT)))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("½ cup", "one half cup"),
        ("1½ cups", "one and a half cups"),
        ("10² and 10³", "ten squared and ten cubed"),
        ("2^10", "two to the ten"),
        ("10⁶ people", "ten to the six people"),
        ("z ≠ 2", "z not equal to two"),
        ("≈ 5 or ≥ 5 or ≤ 5", "about five or at least five or at most five"),
        ("5 ± 1", "five plus or minus one"),
        ("5 µg", "five micrograms"),
        ("5′10″", "five feet ten inches"),  # noqa: RUF001
        ("¥500 and ₹500", "five hundred yen and five hundred rupees"),
        ("50¢", "fifty cents"),
        ("€5.50", "five euros and fifty cents"),
        ("£20", "twenty pounds"),
        ("20 $", "twenty dollars"),
        ("5–10 people", "five to ten people"),
        ("20℃", "twenty degrees C"),
    ],
)
def test_signs_and_money_are_said(flite: Flite, written: str, said: str) -> None:
    assert np.array_equal(whole(say(flite, written, EXACT)), whole(say(flite, said, EXACT)))


@pytest.mark.parametrize(
    ("written", "said"),
    [("5·3", "five three"), ("①②", "one two"), ("5你3", "five three"), ("٣", "three"), ("１２", "twelve")],  # noqa: RUF001
)
def test_what_ascii_has_not_joins_no_numbers(flite: Flite, written: str, said: str) -> None:
    assert np.array_equal(whole(say(flite, written, EXACT)), whole(say(flite, said, EXACT)))


def test_an_abbreviation_makes_no_pause(flite: Flite) -> None:
    assert np.array_equal(
        whole(say(flite, "at 5 p.m. tomorrow", EXACT)), whole(say(flite, "at five PM tomorrow", EXACT))
    )


@pytest.mark.parametrize(
    "text",
    ["a" * 300, "9" * 300, "$" * 50 + "1", "\x00a\x00b", "\x1b[31m", "<" * 200, "Ünïcödé ﬁ ½", "\ud83d", "%s%n%x"],
)
def test_odd_text_does_no_harm(flite: Flite, text: str) -> None:
    for voice in VOICES:
        whole(say(flite, text, voice))
    assert len(whole(say(flite, "Hello.")))


def test_ten_thousand_characters_are_spoken(flite: Flite) -> None:
    text = (FOX + " ") * (10_000 // (len(FOX) + 1))
    seconds = len(whole(say(flite, text, "kal16"))) / SAMPLE_RATE
    assert seconds > 400


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": " \n"}, "text is empty"),
        ({"text": "x" * 10_001}, "at most 10000"),
        ({"text": "你好"}, "no Latin letter"),
        ({"text": "hi", "voice": "bob"}, "unknown voice 'bob'; available: slt, rms, awb, kal16"),
        ({"text": "hi", "language": "de"}, "unknown language 'de'; available: en"),
        ({"text": "hi", "speed": 0.0}, "speed"),
        ({"text": "hi", "speed": float("nan")}, "speed"),
    ],
)
def test_input_that_cannot_be_served_is_refused_at_once(flite: Flite, arguments: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        say(flite, **arguments)  # type: ignore[arg-type]


def test_any_english_will_do(flite: Flite) -> None:
    assert [len(whole(say(flite, "hi", language=tag))) > 0 for tag in ("en", "en-US", "en_GB", "EN")] == [True] * 4


def test_the_engine_is_chosen_by_parameter_and_its_first_voice_is_the_default() -> None:
    engine = load({"engine": "flite", "voices": "kal16, slt"})
    assert tuple(engine.voices) == ("kal16", "slt")
    assert np.array_equal(
        whole(engine.synthesize("Hi.", voice=None, language=None, speed=1.0)),
        whole(engine.synthesize("Hi.", voice="kal16", language=None, speed=1.0)),
    )
    engine.close()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "one of flite, xtts, kokoro"),
        ({"engine": "espeak"}, "no engine 'espeak'"),
        ({"engine": "flite", "voices": "bob"}, "'voices' names bob"),
    ],
)
def test_an_engine_that_is_not_there_says_what_is(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(ModelSetupError, match=said):
        load(parameters)
