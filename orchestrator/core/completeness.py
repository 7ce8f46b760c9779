"""Is an utterance complete? What its words alone tell, for a recogniser that writes no punctuation.

An English speaker who stops after 'and', 'the' or 'um' goes on; one who stops after the digits of a telephone number
may. The lists are closed classes of words; whatever is in none of them can end a sentence. Of other languages the
punctuation is understood, and a few words that cannot come last.
"""

import re
from enum import Enum

from orchestrator.core.languages import ends_open, languages_of
from orchestrator.core.words import words_of


class Completeness(Enum):
    """How an utterance sounds by its last words."""

    COMPLETE = "complete"  # nothing is missing
    UNCLEAR = "unclear"  # too short or ambiguous to tell
    DICTATED = "dictated"  # digits, letters, an address: more may follow at any time
    TRAILING = "trailing"  # it cannot end here


_COMPLETE, _UNCLEAR = Completeness.COMPLETE, Completeness.UNCLEAR
_DICTATED, _TRAILING = Completeness.DICTATED, Completeness.TRAILING

_FILLERS = {"um", "uh", "uhm", "er", "erm", "hmm", "hm", "mm", "ah"}
_CONJUNCTIONS = {"and", "or", "but", "because", "if", "while", "although", "unless", "than", "since", "until", "plus"}
_CONJUNCTIONS |= {"whether", "whose", "as", "also", "just", "very"}
_DETERMINERS = {"a", "an", "the", "my", "your", "his", "its", "our", "their", "every"}
_CONTRACTIONS = {"i'm", "it's", "i'd", "i'll", "we're", "they're", "you're", "there's", "that's", "he's", "she's"}
_CONTRACTIONS |= {"we'll", "you'll", "let's", "gonna", "wanna", "gotta", "what's", "who's", "where's"}
_OF_ADDRESSES = {"dot", "dash", "hyphen", "underscore", "slash", "double", "triple"}
_ALWAYS_OPEN = _FILLERS | _CONJUNCTIONS | _DETERMINERS | _CONTRACTIONS | _OF_ADDRESSES

# These end some sentences: 'what is it for', 'yes it is', 'I think so', 'turn it on', 'do that'.
_PREPOSITIONS = {"of", "to", "for", "with", "at", "from", "into", "onto", "by", "between", "about", "against"}
_PREPOSITIONS |= {"during", "without", "under", "near"}
_PARTICLES = {"in", "on", "over", "through", "around"}
_FINITE = {"is", "are", "was", "were", "am"}
_MODALS = {"will", "would", "could", "should", "can", "may"}
_AUXILIARIES = _FINITE | _MODALS | {"be", "been"}
_SUBJECTS = {"i", "we", "they", "he", "she"}
_PRONOUNS = _SUBJECTS | {"it", "you", "that", "this", "there", "who", "what"}
_DEMONSTRATIVES = {"this", "that", "these", "those", "some", "any", "each", "another", "her"}
# What is known, asked or bought is still to come, unless it was asked for before: 'what do you want to know'.
_OPEN_VERBS = {
    "know",
    "say",
    "ask",
    "tell",
    "find",
    "get",
    "make",
    "take",
    "buy",
    "give",
    "bring",
    "use",
    "send",
    "mean",
}
_OFTEN_OPEN_VERBS = {"think", "see", "learn", "understand", "visit", "call", "hear", "try", "start", "help"}
# What comes first in a question without a question word, and verbs whose object is missing there: 'do you have …'.
_INVERTED = _FINITE | _MODALS | {"do", "does", "did", "have", "has"}
_WANT_OBJECTS = {"have", "prefer", "sell", "offer", "remember", "believe", "use"}
# After a question word they begin a clause: 'what do you think people …'. These are no clause's subject.
_OPINION_VERBS = {"think", "believe", "suppose", "guess"}
_NO_SUBJECT = {"now", "then", "today", "instead", "too", "so", "not", "either", "again", "really", "exactly"}
_QUANTIFIERS = {"more", "little", "few", "most", "other", "next", "such", "only", "even", "quite", "new", "own"}
_QUESTION_WORDS = {"what", "where", "who", "which", "when", "why", "how", "whose", "what's", "where's", "who's"}

_DIGITS = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
_DIGITS |= {"eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"}
_DIGITS |= {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand"}

# 'What is five plus seven' is no dictation.
_OPERATORS = {"plus", "minus", "times", "over", "by"}

# What is read out number by number, a group at a time: a recogniser's full stop ends none of it. What is counted, or
# done at a time, is no part of it: 'the number of guests is 4', 'to order two', 'at 5', 'a table for two'.
_READ_OUT = {"number", "code", "pin", "zip", "postcode", "phone", "card", "account", "order", "extension", "id"}
_READ_OUT |= {"password", "passcode", "reference", "booking", "serial", "fax", "licence", "license"}
_BEFORE_COUNTS = {"at", "for", "of", "by", "on", "since", "until", "till", "before", "after"}
_MONTHS = {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"}
_BEFORE_YEARS = _BEFORE_COUNTS | _MONTHS | {"in", "december", "year", "spring", "summer", "autumn", "fall", "winter"}
_SHORTEST_READ_OUT = 3
_NEAR = 7  # what a number is told at most so many words before it
_YEAR = re.compile(r"1\d{3}|20\d{2}")

# After a house's number more of the address may follow.
_STREETS = {"street", "road", "avenue", "lane", "boulevard", "highway"}

FUNCTION_WORDS = _CONJUNCTIONS | _DETERMINERS | _PREPOSITIONS | _PARTICLES | _AUXILIARIES | {"so", "then"}
FUNCTION_WORDS |= _PRONOUNS - _QUESTION_WORDS
"""Two of these alone mean nothing yet."""

# A question begins with a question word or one of these, a request with a verb, whatever calls or greets before it.
_ASKING = _QUESTION_WORDS | _INVERTED | {"what're", "how's", "when's"}
_REQUESTS = {"tell", "show", "give", "play", "set", "turn", "stop", "repeat", "say", "read", "open", "close", "call"}
_REQUESTS |= {"explain", "describe", "count", "spell", "sing", "start", "remind", "wait", "help"}
_BEFORE = {"so", "and", "hey", "hello", "hi", "okay", "ok", "please", "well", "but", "oh", "now"}
_THANKS = {"thanks", "thank", "goodbye", "bye"}
# Of so many words at most; the longer, the likelier there is another clause.
_LONGEST_QUESTION, _LONGEST_REQUEST = 7, 4

# Things that are named one after another have so many words at most.
_LONGEST_ITEM = 3

# Alone they begin a sentence.
_OPENERS = {"so", "then", "well", "now", "actually", "basically", "anyway", "however", "first", "finally"}

# Short utterances that need nothing more, and endings that do, against what their last word alone suggests.
_WHOLE = {"stop", "wait", "yes", "no", "yeah", "okay", "ok", "thanks", "hello", "hi", "hey", "goodbye", "bye", "help"}
_WHOLE |= {"sure", "right", "exactly", "continue", "never", "please", "again", "nope", "yep", "cancel", "correct"}
_WHOLE_ENDINGS = {"thank you", "good morning", "good afternoon", "good evening", "good night", "go ahead", "go on"}
_WHOLE_ENDINGS |= {"of course", "never mind", "not really", "i see", "come in", "come on", "hold on", "hang on"}
_WHOLE_ENDINGS |= {"as well", "think so", "hope so", "guess so", "me too", "yes please", "no thanks"}
_OPEN_ENDINGS = {"tell me", "give me", "show me", "let me", "you please", "and then", "so then", "by then", "oh well"}
_OPEN_ENDINGS |= {"can you", "could you", "would you", "will you", "do you", "did you", "if you", "have you"}
_OPEN_ENDINGS |= {"think that", "believe that", "said that", "hope that", "sure that", "so that", "fact that"}
_OPEN_ENDINGS |= {"think about", "know about", "me about", "something about", "anything about", "more about"}
_OPEN_ENDINGS |= {"was like", "something like", "and like", "and well", "but well", "so well"}
_PUT = {"turn", "switch", "put", "go", "come", "log", "sign", "move", "keep", "start", "carry", "bring", "let"}


def completeness(text: str, *, english: bool = True) -> Completeness:
    """How complete `text` is by its last words and punctuation; `english`: it is English unless it seems otherwise."""
    words = words_of(text)
    written = text.rstrip("\"'”’) \n")
    if not words:
        return _UNCLEAR
    if written.endswith(("...", "…", ",", ";", ":", "-", "–", "—", "，", "、")):
        return _TRAILING
    asked = written.endswith(("?", "？", "؟"))
    ended = asked or written.endswith((".", "!", "。", "！", "।"))
    languages = languages_of(text)
    if not english or languages or _in_another_script(text):
        if not asked and ends_open(written, languages):
            return _UNCLEAR if ended else _TRAILING  # recognisers end what is unfinished with a full stop, too
        return _COMPLETE if ended else _UNCLEAR
    by_words = _by_words(words)
    if by_words is _COMPLETE and _is_open_list(text):
        return _UNCLEAR
    if by_words is _UNCLEAR and (asked or (ended and not _is_read_out(written, words))):
        return _COMPLETE
    return by_words


def asks(text: str) -> bool:
    """Whether the speaker waits after an utterance: a short English question or request, complete, or thanks."""
    if languages_of(text):
        return False
    words = words_of(text)
    joined = False
    while len(words) > 1 and words[0] in _BEFORE:
        joined = joined or words[0] in _CONJUNCTIONS
        words = words[1:]
    if not words or _by_words(words) is not _COMPLETE:
        return False
    if joined and words[0] in _INVERTED and words[1:2] and words[1] not in _PRONOUNS | _DETERMINERS | _DEMONSTRATIVES:
        return False  # 'and is worth mention' goes on with a sentence
    if len(words) > 1 and words[-1] in _OPEN_VERBS | _OFTEN_OPEN_VERBS and words[-2] in _PRONOUNS | {"to"}:
        return False  # 'do you know …'
    first, length = words[0], len(words)
    if first in _ASKING:
        return 3 <= length <= _LONGEST_QUESTION
    return (first in _THANKS and length <= _LONGEST_QUESTION) or (first in _REQUESTS and length <= _LONGEST_REQUEST)


def _by_words(words: list[str]) -> Completeness:
    last, previous, ending = words[-1], words[-2] if len(words) > 1 else "", " ".join(words[-2:])
    if _is_dictated(last):
        if previous in _OPERATORS and any(word in _QUESTION_WORDS for word in words):
            return _COMPLETE
        return _DICTATED if _is_dictated(previous) or (last.isdigit() and not previous) else _UNCLEAR
    if last in _STREETS and any(_is_dictated(word) for word in words[-4:-1]):
        return _DICTATED
    if ending in _WHOLE_ENDINGS:
        return _COMPLETE
    if ending in _OPEN_ENDINGS or last in _ALWAYS_OPEN:
        return _TRAILING
    is_question = words[0] in _QUESTION_WORDS
    after_question = any(word in _QUESTION_WORDS for word in words[:-1])
    if last in _PARTICLES and words[0] in _PUT:
        return _COMPLETE
    if last in _FINITE and previous in _SUBJECTS | {"it", "you", "that", "this"} and after_question:
        return _COMPLETE  # 'I wonder what time it is'
    if last in _MODALS and previous in _PRONOUNS and len(words) > 3 and not after_question:
        return _UNCLEAR if "as" in words else _TRAILING  # 'as soon as you can'; but 'I think we should …'
    if last in _PARTICLES | _AUXILIARIES:
        return _UNCLEAR if after_question or previous in _PRONOUNS else _TRAILING
    if (last == "from" and "where" in words) or (last == "for" and "what" in words):
        return _COMPLETE
    if last in _PREPOSITIONS:
        return _UNCLEAR if after_question else _TRAILING
    if last in _SUBJECTS | {"you"} and previous in {"me", "him", "us", "them"}:
        return _TRAILING  # 'can you tell me you …' begins a clause
    if last in _SUBJECTS:
        return _UNCLEAR if previous in _AUXILIARIES else _TRAILING
    if words[0] in _INVERTED and previous in _PRONOUNS and last in _WANT_OBJECTS:
        return _UNCLEAR
    if after_question and _begins_a_clause(words):
        return _UNCLEAR
    if last in _DEMONSTRATIVES:
        return _COMPLETE if last == "that" and (is_question or words[0] in _AUXILIARIES) else _UNCLEAR
    if last in ("want", "need"):
        return _UNCLEAR if after_question or {"all", "if"} & set(words) else _TRAILING
    if not after_question and previous == "to" and last in _OPEN_VERBS:
        return _TRAILING
    if words[-3:-1] == ["time", "to"] and last not in _OPEN_VERBS:
        return _COMPLETE
    if last == "come" and "where" in words:
        return _UNCLEAR
    if last == "more" and {"i", "i'm", "we"} & set(words) and previous in {"little", "few", "some", "one", "two"}:
        return _TRAILING  # 'I need a little more …'; but 'tell me more'
    if not after_question and (last in _QUANTIFIERS or _goes_on(previous, last)):
        return _UNCLEAR
    if last in _OPENERS and not previous:
        return _TRAILING
    if last in ("so", "then", "well"):
        return _UNCLEAR
    if last == "like":
        return _COMPLETE if is_question else _UNCLEAR
    if last in ("what", "which") and previous in {"me", "us", "him", "them", "know", "wonder"}:
        return _TRAILING
    if last in _QUESTION_WORDS | {"though", "really", "maybe"}:
        return _UNCLEAR
    return _COMPLETE if len(words) >= 3 or words[0] in _WHOLE or last in _WHOLE else _UNCLEAR


def _is_open_list(text: str) -> bool:
    """Whether `text` ends in things named one after another, the last of them without 'and': 'milk, eggs, butter'."""
    *before, item, last = [words_of(part) for part in text.split(",")] if text.count(",") > 1 else [[], [], []]
    if not before or not all(0 < len(words) <= _LONGEST_ITEM for words in (item, last)):
        return False
    return not {item[0], last[0]} & (_CONJUNCTIONS | _BEFORE | _OPENERS | _WHOLE | _THANKS | _PRONOUNS)


def _begins_a_clause(words: list[str]) -> bool:
    """Whether a subject comes last: '… you think people …', '… you think the people …'."""
    verb = words[-3] if len(words) > 2 and words[-2] in _DETERMINERS else words[-2]
    return verb in _OPINION_VERBS and words[-1] not in _NO_SUBJECT


def _goes_on(previous: str, last: str) -> bool:
    """Whether more often follows than not: 'I want to learn …', 'my mother is coming …'."""
    if previous == "to" and last in _OFTEN_OPEN_VERBS:
        return True
    return previous in _AUXILIARIES and last.endswith("ing")


def _is_dictated(word: str) -> bool:
    """Whether a word is a number or a spelled letter."""
    return word in _DIGITS or word.isdigit() or (len(word) == 1 and word not in "ai")


def _is_read_out(written: str, words: list[str]) -> bool:
    """Whether `written` ends in a number or a letter of which there may be more: '555', 'spelled S', 'pin is 4'."""
    last, previous = words[-1], words[-2] if len(words) > 1 else ""
    if not previous or not _is_dictated(last):
        return False
    token = written.split()[-1].strip("#.!\"'”’)")  # no number is '$100' or '100%', no letter the m of 'a.m.'
    if len(token) == 1 and token.isalpha():
        return True
    if previous not in _BEFORE_COUNTS and _names_read_out(words[-_NEAR:-1]):
        return True
    if _YEAR.fullmatch(last) and previous in _BEFORE_YEARS:
        return False
    return token.isdigit() and len(token) >= _SHORTEST_READ_OUT


def _names_read_out(words: list[str]) -> bool:
    """Whether `words` tell what is read out: 'my order number is', but neither 'the number of …' nor 'to order …'."""
    around = zip(["", *words], words, [*words[1:], ""], strict=False)
    return any(word in _READ_OUT and before != "to" and after != "of" for before, word, after in around)


def _in_another_script(text: str) -> bool:
    alphabet = [character for character in text if character.isalpha()]
    return bool(alphabet) and not any(character.isascii() for character in alphabet)
