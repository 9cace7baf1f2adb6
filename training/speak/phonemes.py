"""Phonemes of a text by espeak-ng, in the alphabet of the voice that is to say them. Runs the program, no library."""

import re
import subprocess
from collections.abc import Iterable

from training.speak.engines import SpeechError, needed_program

PAUSES = re.compile(r"\s*([,.;:!?]+)\s*")  # espeak-ng leaves them out of its phonemes


def espeak_phonemes(text: str, language: str) -> str:
    """The International Phonetic Alphabet, with the punctuation of the text kept in its place."""
    pieces = PAUSES.split(text.strip())  # text and punctuation in turn
    spoken = [phonemes_of_piece(piece, language) if piece else "" for piece in pieces[::2]]
    marks = [mark[0] for mark in pieces[1::2]]
    return " ".join(words + mark for words, mark in zip(spoken, [*marks, ""], strict=True)).strip()


def phonemes_of_piece(text: str, language: str) -> str:
    command = [needed_program("espeak-ng"), "-q", "--ipa", "-v", language, "--", text]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    phonemes = " ".join(result.stdout.split()).replace("\N{ZERO WIDTH JOINER}", "")
    if result.returncode or not phonemes:
        raise SpeechError(
            f"expected text that espeak-ng can speak as {language}, got {text!r}: {result.stderr.strip()}"
        )
    return phonemes


def replaced(phonemes: str, table: Iterable[tuple[str, str]]) -> str:
    """Phonemes with each pattern of a table replaced, in its order."""
    for pattern, replacement in table:
        phonemes = re.sub(pattern, replacement, phonemes)
    return phonemes
