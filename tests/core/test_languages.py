import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.languages import ends_open, languages_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich möchte gern einen", "de"), ("Mach das Licht an.", "de"), ("Was ist das", "de"),
        ("die Frau ist da", "de"), ("was heißt das", "de"),
        ("Il y en a.", "fr"), ("Je voudrais un", "fr"), ("qu'est-ce que c'est", "fr"), ("C’est vrai", "fr"),
        ("Quiero reservar una mesa para", "es"), ("No me gusta", "es"), ("qué hora es", "es"),
        ("Non lo so fare bene", "it"), ("Non è così", "it"), ("che ore sono", "it"), ("vorrei un tavolo per", "it"),
        ("Eu quero uma mesa", "pt"), ("você pode me ajudar", "pt"),
        ("Wat is dat", "nl"), ("ik was in de war", "nl"),
    ],
)  # fmt: skip
def test_a_language_is_known_by_its_closed_classes(text: str, language: str) -> None:
    assert languages_of(text) == {language}


@pytest.mark.parametrize("text", ["Hava bugün çok güzel", "Jag går på bio", "Schöne Grüße"])
def test_letters_that_english_does_not_have_tell_of_another_language(text: str) -> None:
    assert languages_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "music", "uh", "a café in München", "a café in Bogotá", "play some Beyoncé", "I like la vie en rose",
        "how do you say ich möchte", "los angeles california", "rio de la plata", "van der waals forces",
        "what's the weather in Los Angeles", "it is b c d e o", "e o y", "um", "my résumé", "was war will die",
        "stop", "the die is cast", "con man son pour ton", "non smoking room", "known bugs and non-bugs", "github io",
        "las vegas nevada", "aux cable on", "naïve",
        "ai is here", "ed and mia", "chow mein please",
    ],
)  # fmt: skip
def test_foreign_words_and_names_leave_english_english(text: str) -> None:
    assert not languages_of(text)


@given(st.text())
def test_every_text_has_an_answer(text: str) -> None:
    assert not ends_open(text, languages_of(text)) or languages_of(text)


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("Ich hätte gern einen", "de"), ("ich gehe in die", "de"), ("Mach das Licht an", "de"),
        ("Ich komme mit", "de"), ("prends-la", "fr"), ("Il y en a", "fr"), ("j'en veux un", "fr"),
        ("quiero una", "es"), ("para", "es"), ("vieni su", "it"), ("ik weet het", "nl"), ("quero um", "pt"),
    ],
)  # fmt: skip
def test_particles_and_pronouns_may_end_a_sentence(text: str, languages: str) -> None:
    assert not ends_open(text, {languages})


def test_where_two_languages_are_as_likely_both_must_agree() -> None:
    assert ends_open("una mesa para", {"es", "pt"})
    assert ends_open("quiero el", {"es"})
    assert not ends_open("quiero el", {"es", "pt"})
    assert not ends_open("quiero el", set())
