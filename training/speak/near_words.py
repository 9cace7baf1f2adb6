"""Words and phrases that sound nearly like a keyword: what a model must be taught not to take for it.

Minimal pairs, the same beginning, the same ending, and the parts of a phrase alone.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice

from training.speak.pronunciation import Phonemes, contains, dictionary, distance, pronounce, shared_beginning

MIN_DISTANCE = 0.3  # nearer ones sound the same to many people: Marvin and marven
MAX_DISTANCE = 1.7
MAX_EXTRA = 3  # phonemes that a word with the same beginning or ending may have more
MIN_SHARED = 2  # phonemes of a beginning or ending


def near_words(keyword: str, count: int, forbidden_texts: Sequence[str]) -> list[str]:
    """At most `count` near words: parts of a phrase, then each kind in turn; none has the sound of a forbidden text."""
    forbidden = [pronounce(text) for text in forbidden_texts]
    chosen = {part: None for part in phrase_parts(keyword) if is_apart(part, forbidden)}
    kinds = kinds_of_near_words(keyword)
    while kinds and len(chosen) < count:
        for kind in list(kinds):
            word = next(kind, None)
            if word is None:
                kinds.remove(kind)
            elif is_apart(word, forbidden):
                chosen[word] = None
    return list(islice(chosen, count))


def is_apart(word: str, forbidden: Sequence[Phonemes]) -> bool:
    """Whether a word neither contains a keyword of these pronunciations nor sounds the same."""
    phonemes = pronounce(word)
    return not any(
        contains(phonemes, keyword) or distance(phonemes, keyword, MIN_DISTANCE) < MIN_DISTANCE for keyword in forbidden
    )


def phrase_parts(phrase: str) -> list[str]:
    """The words of a phrase, and its beginnings of several words: none of a single word."""
    words = phrase.split()
    parts = [*words, *(" ".join(words[:end]) for end in range(2, len(words)))] if len(words) > 1 else []
    return list(dict.fromkeys(parts))


def kinds_of_near_words(phrase: str) -> list[Iterator[str]]:
    """Minimal pairs, same beginnings and same endings of a word; of a phrase with one of its words exchanged."""
    words = phrase.split()
    if len(words) == 1:
        return [iter(kind) for kind in near_single_words(phrase)]
    return [
        iter([" ".join([*words[:at], other, *words[at + 1 :]]) for other in kind])
        for at, word in enumerate(words)
        for kind in near_single_words(word)
    ]


@cache
def near_single_words(word: str) -> tuple[tuple[str, ...], ...]:
    """Minimal pairs, words with the same beginning, words with the same ending: the nearest first."""
    own = pronounce(word)
    kinds: tuple[list[tuple[float, int, str]], ...] = ([], [], [])
    for other, phonemes in dictionary().items():
        extra = abs(len(phonemes) - len(own))
        if extra > MAX_EXTRA or other == word or len(phonemes) < MIN_SHARED:
            continue
        if extra <= MAX_DISTANCE and (cost := distance(own, phonemes, MAX_DISTANCE)) < MAX_DISTANCE:
            kinds[0].append((cost, extra, other))
        for kind, (one, another) in zip(kinds[1:], ((own, phonemes), (own[::-1], phonemes[::-1])), strict=True):
            if (shared := shared_beginning(one, another)) >= MIN_SHARED:
                kind.append((-shared, extra, other))
    return tuple(tuple(other for *_, other in sorted(kind)) for kind in kinds)
