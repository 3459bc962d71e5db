"""The discourse markers of a chain of thought in English: what the first words of a sentence announce.

All patterns are for text in lower case; this is much faster than ignoring case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Move = Literal["", "restate", "plan", "alternative", "case", "suppose", "verify", "conclude"]
"""What a sentence opens: nothing, one of the five parts, or a new approach (`alternative`, `case`, and `suppose` after
a hypothesis has ended)."""


def at_words(*words: str) -> str:
    """The pattern of any of these words, which must begin with a letter, at the beginning of a word.

    An alternative that begins with a letter is found several times faster than one that begins with `\\b`.
    """
    return "|".join(rf"{word[0]}(?<!\w.){word[1:]}" for word in words)


_FILLER = (
    r"(?:[\W_]*(?:okay|ok|so|well|hm+|wait|but|now|and|actually|alright|all right|oh|no|yes|yeah|great|good|perfect"
    r"|then|first|just|maybe|perhaps|again|also|therefore|thus|hence|hold on|anyway|finally|let me see|let's see)\b"
    r"(?![-'’]))*[\W_]*"
)
_LET = (
    r"(?:let me|let us|let['’]s|i['’]ll|(?:i|we) (?:will|should|can|could|want to|need to|have to))"
    r"(?: (?:also|just|quickly|now|try to|try|at least|further))*"
)
_WAY = r"(?:approach|way|method|idea|angle|option|route|strategy|possibility)"
_NUMBERED = r"\s*(?:#\s*)?(?:\d{1,2}|[a-d]|[ivx]{1,4}|one|two|three|four|five)\b"

_MOVES: dict[Move, tuple[str, ...]] = {
    "conclude": (
        r"in conclusion|to (?:conclude|sum up|summarize)|in summary|final (?:answer|solution)\b",
        r"(?:the|my) (?:final |correct |right )?(?:answer|solution|option|choice)(?: to [^.]{1,40})? "
        r"(?:is|must be|should be|has to be|would be)",
        r"i(?:'m| am) (?:now )?confident|answer\s*:",
        r"(?:all|both) (?:the )?(?:methods|approaches|ways|results|answers)\b",
    ),
    "alternative": (
        rf"{_LET} (?:verify|check|confirm|double[- ]?check|test)[^.!?]{{0,40}} (?:using|with|by|in|via)"
        r" (?:a|an|another) (?:different|second|alternative|other|independent)?\s*(?:approach|way|method)",
        rf"alternatively|another {_WAY}|(?:the )?(?:second|third|other) {_WAY}|as a (?:second|third) {_WAY}",
        r"(?:there(?:['’]s| is| might be| may be| must be| has to be) |is there |a |an )+(?:another|better|simpler"
        rf"|easier|different|cleverer|second|third|faster|quicker|alternative) {_WAY}",
        r"on second thoughts?|(?:going )?back to the (?:start|beginning|problem)",
        rf"{_LET} (?:use |take |think about |look at |approach |tackle |solve |do |attack |consider )?"
        r"(?:it |this |that |things |the problem )?(?:in |from )?(?:a different|another|the opposite|a second|a new"
        r"|an alternative|differently|some other|something else|the other)\b",
        rf"{_LET} (?:start over|start again|redo|re-do|restart|re-?compute|re-?calculate|re-?count|rework|rethink"
        r"|reconsider|step back|go back to|begin again|approach)",
        r"instead,? (?:let|suppose|assume|consider|i|we)\b",
    ),
    "case": (
        rf"(?:method|approach|solution|case|attempt|scenario|possibility|strategy|way){_NUMBERED}"
        r"(?=\s*(?:[:.,)(*—–-]|where|when|if|is that|with|$))",
        r"(?:the )?(?:first|second|third|fourth|next|last|other|remaining) (?:case|possibility|scenario|subcase)\b",
    ),
    "verify": (
        rf"{_LET} (?:re-?)?(?:verify|check|double[- ]?check|confirm|test|validate|sanity[- ]check|make sure|go over"
        r"|go through|plug|substitute [^.]{0,30}back|see if (?:this|that|it) (?:works|holds|fits))",
        r"(?:verification|checking|double[- ]check(?:ing)?|sanity check|check)\b\s*[:.(]|as a (?:quick |sanity )*check",
        r"before (?:i answer|answering|finali[sz]ing|concluding|i finali[sz]e)|plugging (?:it|this|that|back)",
        r"to (?:be safe|be sure|double[- ]check|verify|confirm|make sure|check)\b|once more\b",
        r"did i (?:get|do) (?:that|this|it) right|is (?:that|this) (?:right|correct)",
        r"does (?:that|this|it) (?:work|hold|make sense|check out)",
    ),
    "suppose": (
        rf"(?:{_LET} )?(?:suppose|assume|say that|imagine|pretend|hypothesi[sz]e|try the hypothesis|assuming|say)\b",
        rf"{_LET} (?:start|begin)(?: by| with)? (?:assum|suppos)\w+|(?:on top of|within) that,? (?:suppose|assume)",
        r"(?:what )?if (?:we|i) (?:suppose|assume|say)|on the other hand,? (?:suppose|assume|if)",
        r"otherwise,? (?:suppose|assume)",
    ),
    "restate": (
        r"(?:i|we) (?:need|have) to (?:find|figure|determine|solve|compute|work out|show|evaluate|identify|decide)",
        r"i(?:'m| am) (?:given|asked|told|trying to)|we(?:'re| are) (?:given|asked|told)|(?:the )?given\b",
        r"the (?:problem|question|puzzle|task) (?:is|says|asks|states|gives|wants|tells)|to restate",
        r"there are \d+ (?:people|inhabitants)|i have (?:this|a) (?:problem|puzzle|question)",
        r"let me (?:restate|re-?read|read|work out for each|go through the problem|write down what)",
        r"(?:the )?(?:options|statements|choices) are\b|what do (?:they|we) (?:say|know)",
    ),
    "plan": (
        r"(?:i|we) (?:know|remember|recall)|remember(?:ing)? that|recall(?:ing)? that|the key\b",
        r"let(?: me|['’]s) (?:think|understand|recall|remember|break|organize|make sense)|my (?:plan|idea|strategy)",
        r"this (?:is|looks like|seems) (?:a|an|like)\b|to (?:solve|find|answer|tackle|do) this",
        r"(?:knights|knaves) always|what (?:does|is) (?:this|that|it) mean|in (?:these|this) (?:type|kind)"
        r"|the (?:idea|goal|trick|point|rule)s? (?:is|are|here)",
    ),
}
_MOVE = re.compile(r"[\W_]*(?:" + "|".join(f"(?P<{name}>{'|'.join(words)})" for name, words in _MOVES.items()) + ")")
_FIRST = re.compile(_FILLER + r"(?P<word>[a-z]+)")
_FIRST_WORDS = frozenset(
    "a all alternative alternatively an another answer approach as assume assuming attempt back before begin"
    " better both case check checking choices did does double final fourth given going hypothesise hypothesize i if"
    " imagine in instead is knaves knights last let method my next on once options other otherwise plugging"
    " possibility pretend recall recalling remaining remember remembering sanity say scenario second solution"
    " statements strategy suppose the there third this to try verification way we what within".split()
)
"""All words with which moves begin, so that most sentences are decided by one look-up."""

CORRECTS = re.compile(
    at_words(
        "mistake", r"error\b", r"wrong\b(?<!something is wrong)", "incorrect", "oops", r"actually\b", "misread",
        "miscalculat", "no[,.—]", r"not (?:match|hold|fit|agree|work)\b",
    )
    + r"|n['’]t (?:match|hold|fit|agree|work)\b"
)  # fmt: skip
"""Words that correct an earlier sentence."""
SECOND_LOOK = re.compile(r"double|\bre-?(?:check|examin|verif|consider)|once more|\bagain\b|\bright\?")
"""Words that mark a check as a second look."""

_YES = r"(?:yes|yep|yeah|yup|okay|ok|good|great|right|correct|alright|perfect|so)\b"
_AFFIRMS = re.compile(
    rf"[\W_]*(?:{_YES}[\W_]*)*"
    r"(?:$|(?:(?:that|this|it|they|everything|all|the \w+|[\w.\\${}/=+*-]{1,24}(?= is\b|['’]s\b)"
    r"|\w+(?: \w+)?(?= are\b))\b.{0,40}?)?"
    r"\b(?:right|correct|still holds?|holds|checks? out|consistent|the same(?: as before)?|match(?:es)?|works?|fine"
    r"|confirmed|good|indeed|agrees?|valid)\b[^,;:]{0,40}$)"
)
_AFFIRMATION = re.compile(rf"[\W_]*(?:{_YES}|(?:that|this|it)\b)")
DENIES = re.compile(r"n['’]t\b|\bn(?:o|ot|ever)\b|wrong|mistake|error|\bbut\b|however|\?")
"""What denies or objects, in lower case."""
_LONGEST_AFFIRMATION = 90


def lowered(text: str) -> str:
    """The text in lower case; characters keep their places."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(letter if len(letter.lower()) > 1 else letter.lower() for letter in text)


def move(text: str, start: int, end: int) -> Move:
    """What the sentence `text[start:end]` opens."""
    first = _FIRST.match(text, start, end)
    if not first or first["word"] not in _FIRST_WORDS:
        return ""
    found = _MOVE.match(text, first.start("word"), end)
    return found.lastgroup or "" if found else ""  # type: ignore[return-value]


@lru_cache(4_096)
def affirms(sentence: str) -> bool:
    """Whether a sentence only confirms the previous result, as in `Yes, that still holds.`"""
    sentence = sentence.strip().rstrip(".!✓✔ ")
    if len(sentence) > _LONGEST_AFFIRMATION or not _AFFIRMATION.match(sentence) or DENIES.search(sentence):
        return False
    return bool(_AFFIRMS.fullmatch(sentence))
