"""Which language a transcript seems to be in, and whether a sentence of it can end so.

A recogniser tells no language, and most callers speak English. Others are known by their closed classes of words and
by their letters; what many languages share decides nothing, and what English has, too, tells little.
"""

from collections.abc import Set

from orchestrator.core.words import words_of

# What a distinct word tells. Of one loan word or name, even spoken twice, English stays English; two words that only
# the other language has outweigh three that it shares with English.
_OWN, _ENGLISH, _ACCENTED, _SHARED = 5, 3, 2, 1
# With less there is no evidence: an accented name, or a few words of the kind of 'los' and 'van'.
_LEAST = 4


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COMMON_ENGLISH = _set(
    "a about again all also am an and any are as at be because been but by call can can't come could day did didn't do "
    "does doesn't doing don't down every for from get give go going good got had has have he hello help her here him "
    "his how how's i i'd i'll i'm i've if in into is isn't it it's its just know let let's like make me mean more much "
    "my need never no not now of off ok okay on one or our out over play please plus right say see set she should show "
    "so some stop take tell than thank thanks that that's the their them then there there's these they they're thing "
    "think this those time to today tomorrow too turn uh um er up us very wait want was wasn't we we're well went were "
    "what what's when where where's which who who's why will with won't work would yeah yes you you're your"
)
# Words in English sentences, names, abbreviations, and letters that are spelled, which some language below has, too.
_IN_ENGLISH = _set(
    "ai al au aux ben bent bien bin bis ci com comment como con cosa da dal dat de del della dem den der des di die "
    "dir door dos du e ed el ella elle em en era es est et eu faire fait ha hai hast hat hay hem ho hoe hola im ins io "
    "ja la las le les lo los ma mag mal mas me mein merci met mi mia mit mon na ne nel non nos o ob om ons op os oui "
    "par pas per pour sa sans se sem ser si sin son su sur ta te tem ti ton tot tu u un uno van vi von war wilt wo y"
)
_SHARED_WORDS = _COMMON_ENGLISH | _IN_ENGLISH

_CLOSED_CLASSES = {
    "de": _set(
        "ich du er es wir ihr sie mich dich mir dir uns ihm ihn der die das den dem des ein eine einen einem einer "
        "und oder aber weil dass wenn ob als nicht kein keine keinen ist sind bin bist war waren wird werde werden "
        "wurde hat habe haben hast hatte hätte kann kannst können könnte könnten möchte möchten muss soll will wollen "
        "würde gibt geht mein meine dein deine ihre dieser diese dieses was wer wie wo wann warum welche heisst mit "
        "nach von vom zu zum zur bei aus auf an am im in ins für über unter durch ohne gegen bis seit auch noch schon "
        "nur sehr dann jetzt heute hier da mal so bitte danke ja nein gern gerne also"
    ),
    "fr": _set(
        "je tu il elle on nous vous ils elles me te se moi toi le la les un une des du de au aux et ou où mais donc "
        "que qui quoi quel quelle quand comment pourquoi combien dans pour avec sans sur chez par en y à est sont suis "
        "es êtes était sera a as ai avez avons ont c'est c'était j'ai j'aimerais j'étais n'est n'ai n'a qu'est qu'il "
        "s'il d'accord d'un d'une l'on ne pas plus ce cette ces cet ça mon ma mes ton ta tes son sa ses notre votre "
        "vos leur très bien aussi voudrais voudrait veux veut peux peut pouvez fait faire oui non merci bonjour"
    ),
    "es": _set(
        "yo tú él ella nosotros ellos usted ustedes me te se le les nos lo el la los las un una unos unas de del al "
        "a en con sin por para desde hasta y o pero que qué porque si sí no mi mis tu tus su sus es son está están "
        "estoy era hay ser tiene tienes tengo quiero quiere quieres quisiera puedo puede puedes cuál cuándo dónde cómo "
        "cuánto cuánta cuántos quién muy más también este esta esto ese esa eso gusta llamo hora favor gracias hola "
        "aquí ahora hoy mañana como cuando donde"
    ),
    "it": _set(
        "io tu lui lei noi loro mi ti ci vi si ne il lo la i gli le un uno una di a da in con su per tra fra del "
        "dello della dei degli delle al allo alla ai alle dal dalla nel nella nei sul sulla e ed o ma che chi cosa "
        "come non so sì quando dove perché non più è c'è cos'è dov'è com'è sono sei siamo era ho hai ha abbiamo hanno "
        "vorrei voglio vuole posso può puoi mio mia questo questa quello quella molto anche bene ancora adesso oggi "
        "domani grazie"
    ),
    "pt": _set(
        "eu você vocês ele ela nós eles elas me te se lhe o a os as um uma uns umas de do da dos das em no na nos "
        "nas ao aos à com sem por para pelo pela e ou mas que se não sim meu minha seu sua é são está estão estou tem "
        "tenho quero quer queria gostaria pode posso foi ser isso isto este esta esse essa qual quando onde como quem "
        "porque muito mais também obrigado obrigada agora hoje amanhã aqui"
    ),
    "nl": _set(
        "ik jij je u hij zij ze wij we jullie mij hem ons het de een dat dit die deze en of maar omdat want als dus "
        "niet geen wel ook nog al is ben bent zijn was waren heb hebt heeft hebben had kan kun kunt wil wilt zal zou "
        "moet mag gaat ga gaan wat wie waar wanneer waarom hoe welke van voor met aan op in uit bij naar over door om "
        "tot te er hier daar mijn jouw graag alstublieft bedankt"
    ),
}

# No sentence ends with these: articles that are no pronouns, prepositions that are neither particles nor left behind
# ('komm mit', 'vieni su', 'waar denk je aan'), conjunctions that are not added at the end ('oder?', 'aber').
_OPEN_ENDINGS = {
    "de": _set(
        "und weil dass sondern in im am zum zur vom beim ins ans für von gegen zwischen wegen seit mein dein äh ähm"
    ),
    "fr": _set(
        "le la les des du de au aux à dans pour sur chez vers par en et ou mais que dont mon ma ta mes tes ses "
        "notre votre ce cette ces cet je très euh"
    ),
    "es": _set(
        "el la los las un unos de del a al en con sin por para desde hasta hacia y e o pero que porque mi tu su mis "
        "tus sus muy"
    ),
    "it": _set(
        "il lo la i gli le un di a in con per tra fra del dello della dei degli delle al allo alla ai agli alle dal "
        "dalla nel nella nei nelle sul sulla sui e ed o ma che se"
    ),
    "pt": _set("o a os as de do da dos das em no na nas ao à aos com por para pelo pela e ou mas que se"),
    "nl": _set("de een en omdat met tot mijn onze tijdens sinds wegens eh ehm"),
}


def languages_of(text: str) -> frozenset[str]:
    """The languages (ISO 639-1) that `text` may be in, all as likely; none where it may as well be English.

    Text whose letters alone are not English may be in any of them.
    """
    words = set(words_of(text))
    accented = _ACCENTED * sum(not word.isascii() for word in words)
    scores = {language: accented + _score(words & known) for language, known in _CLOSED_CLASSES.items()}
    best = max(scores.values())
    if best < _LEAST or best <= _ENGLISH * len(words & _COMMON_ENGLISH):
        return frozenset()
    return frozenset(language for language, score in scores.items() if score == best)


def ends_open(text: str, languages: Set[str]) -> bool:
    """Whether a sentence in any of `languages` goes on after `text`."""
    *before, last = text.split() or [""]
    word = "".join(words_of(last))  # of 'prends-la' no article
    return bool(before and languages) and all(word in _OPEN_ENDINGS[language] for language in languages)


def _score(words: Set[str]) -> int:
    shared = len(words & _SHARED_WORDS)
    return _OWN * (len(words) - shared) + _SHARED * shared
