"""Is an utterance complete? What its words alone tell, for a recogniser that writes no punctuation.

An English speaker who stops after 'and', 'the' or 'um' goes on; one who stops after the digits of a telephone
number may. The lists are closed classes of words (articles, prepositions, conjunctions, auxiliaries, fillers).
"""

from enum import Enum

from orchestrator.core.words import words_of


class Completeness(Enum):
    """How an utterance sounds by its last words."""

    COMPLETE = "complete"  # nothing is missing
    UNCLEAR = "unclear"  # too short or unfamiliar to tell
    DICTATED = "dictated"  # digits, letters, an address: more may follow at any time
    TRAILING = "trailing"  # it cannot end here


_FILLERS = {"um", "uh", "uhm", "er", "erm", "hmm", "hm", "mm", "ah", "like", "well"}
_CONJUNCTIONS = {"and", "or", "but", "so", "because", "if", "when", "while", "although", "though", "unless", "than"}
_CONJUNCTIONS |= {"since", "until", "whether", "that", "which", "who", "whose", "where", "plus", "then", "as"}
_ARTICLES = {"a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "these", "those", "some"}
_ARTICLES |= {"every", "each", "any", "another"}
_PREPOSITIONS = {"of", "to", "for", "with", "at", "from", "into", "onto", "by", "between", "about", "against"}
_PREPOSITIONS |= {"during", "without", "through", "under", "over", "near", "in", "on"}
_AUXILIARIES = {"is", "are", "was", "were", "am", "be", "been", "will", "would", "could", "should", "can", "may"}
_AUXILIARIES |= {"must", "i'm", "it's", "i'd", "i'll", "we're", "they're", "you're", "there's", "gonna", "wanna"}
_SUBJECTS = {"i", "we", "they", "he", "she", "let's", "want", "need", "very", "really", "also", "just", "maybe"}
_OPEN = _FILLERS | _CONJUNCTIONS | _ARTICLES | _PREPOSITIONS | _AUXILIARIES | _SUBJECTS

# A question may end in these: 'what is that for', 'where do you come from', 'what time is it', 'who are they'.
_QUESTION_WORDS = {"what", "what's", "where", "where's", "who", "who's", "which", "when", "why", "how", "whose"}
_FINAL_IN_QUESTIONS = _PREPOSITIONS | {"is", "are", "was", "were", "am", "can", "that", "they", "he", "she", "this"}
_FINAL_IN_QUESTIONS |= {"these", "those", "then", "want", "need"}

_DIGITS = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "double"}
_DIGITS |= {"eleven", "twelve", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
_DIGITS |= {"hundred", "thousand", "dash", "dot", "underscore", "slash", "triple"}

_COMMANDS = {"stop", "wait", "yes", "no", "yeah", "okay", "ok", "thanks", "hello", "hi", "hey", "goodbye", "bye"}
_COMMANDS |= {"help", "sure", "right", "exactly", "continue", "never", "please", "again", "nope", "yep", "cancel"}


def completeness(text: str) -> Completeness:
    """How complete `text` is by its words; punctuation counts where the recogniser writes it."""
    words = words_of(text)
    if not words:
        return Completeness.UNCLEAR
    stripped = text.rstrip()
    if stripped.endswith(("...", "…", ",", "-", "–", "—", ":")):
        return Completeness.TRAILING
    last = words[-1]
    if _dictated(words):
        return Completeness.DICTATED
    if last in _OPEN:
        asked = words[0] in _QUESTION_WORDS and len(words) >= 3
        return Completeness.UNCLEAR if asked and last in _FINAL_IN_QUESTIONS else Completeness.TRAILING
    if stripped.endswith((".", "?", "!")) or len(words) >= 3 or words[0] in _COMMANDS or last in _COMMANDS:
        return Completeness.COMPLETE
    return Completeness.UNCLEAR


def _dictated(words: list[str]) -> bool:
    tail = words[-2:]
    return all(word in _DIGITS or word.isdigit() or (len(word) == 1 and word not in ("a", "i")) for word in tail) and (
        len(tail) == 2 or words[0].isdigit()
    )
