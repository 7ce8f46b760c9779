from orchestrator.core.words import same_words, words_of


def test_words_are_lower_case_and_without_punctuation() -> None:
    assert words_of('Well, "STOP" — it’s 5 p.m.!') == ["well", "stop", "it's", "5", "p", "m"]


def test_an_apostrophe_belongs_to_its_word_and_a_quotation_mark_does_not() -> None:
    assert words_of("'don't'") == ["don't"]


def test_a_text_without_words_has_none() -> None:
    assert words_of(" … — 👍 ") == []


def test_transcripts_that_differ_in_case_spacing_and_punctuation_have_the_same_words() -> None:
    assert same_words("What time is it?", "what  time is it")
    assert not same_words("What time is it?", "what time was it")
