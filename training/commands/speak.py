"""rc-train speak: recordings of words by synthetic voices."""

import argparse
import os
from pathlib import Path
from typing import Any, Protocol

from rich.progress import Progress

from training.commands.options import OptionError, count
from training.data.download import VOICE_MODEL, VOICES
from training.speak.engines import ENGINES, Engine, open_engine
from training.speak.plan import SpeakRequest, plan
from training.speak.write import speak_plan

HELP = "recordings of words by synthetic voices, to train on"


class Options(Protocol):
    """A command's parser, or one of its groups of options."""

    def add_argument(self, *names: str, **settings: Any) -> object: ...


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("words", nargs="+", metavar="WORD", help="a word or a phrase; quote phrases")
    add_voice_options(command, "--say", "--spelling")
    command.add_argument("--count", type=count, default=SpeakRequest.per_word, help="recordings of each word")
    command.add_argument("--near", type=count, default=SpeakRequest.near, help="near words of each word")
    command.add_argument("--common", type=count, default=SpeakRequest.common, help="common words")
    command.add_argument("--per-other", type=count, default=SpeakRequest.per_other, help="recordings of each of these")
    command.add_argument(
        "--speech-minutes", type=count, default=int(SpeakRequest.speech_minutes), help="minutes of running speech"
    )
    command.add_argument("--seed", type=int, default=0, help="of voices, rates, pitches and texts")
    command.add_argument("--out", type=Path, required=True, help="folder for --data-dir; rerun the command to continue")


def add_voice_options(command: Options, *spelling: str) -> None:
    """The options that `engine_of` reads, and by its names that of other spellings."""
    command.add_argument(
        *spelling, dest="spellings", action="append", default=[], metavar="[WORD=]SPELLING",
        help="another spelling that voices read as well, where they misread the word; repeat for more",
    )  # fmt: skip
    command.add_argument("--engine", choices=ENGINES, default="kokoro", help="what speaks")
    command.add_argument(
        "--voice-model", type=Path, metavar="FILE", default=Path("voices", VOICE_MODEL), help="of kokoro: its ONNX file"
    )
    command.add_argument(
        "--voices", type=Path, metavar="PATH",
        help=f"of kokoro: the file with its voices (default: voices/{VOICES}); of piper and flite: a folder of voices",
    )  # fmt: skip
    command.add_argument("--workers", type=count, default=os.cpu_count() or 1, help="threads that speak")


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine of a command line. Raises SpeechError for what is missing."""
    return open_engine(args.engine, args.voice_model, args.voices or Path("voices", VOICES))


def spellings_of(values: list[str], words: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Spellings by word; WORD= may be missing where there is one word. Raises OptionError for another word."""
    spellings: dict[str, tuple[str, ...]] = {}
    for value in values:
        word, separator, spelling = value.partition("=")
        if not separator and len(words) == 1:
            word, spelling = words[0], value
        if word not in words or not spelling.strip():
            raise OptionError(f"expected a spelling as WORD=SPELLING of one of {', '.join(words)}, got {value!r}")
        spellings[word] = (*spellings.get(word, ()), spelling.strip())
    return spellings


def clean_words(values: list[str]) -> tuple[str, ...]:
    """Words and phrases in lower case. Raises OptionError for one that cannot be a folder or a label."""
    words = tuple(dict.fromkeys(" ".join(value.lower().split()) for value in values))
    for word in words:
        if not word or not all(character.isalpha() or character in " '-" for character in word):
            raise OptionError(f"expected words of letters, got {word!r}")
    return words


def run(args: argparse.Namespace) -> None:
    words = clean_words(args.words)
    request = SpeakRequest(
        words, spellings_of(args.spellings, words), args.count, args.near, args.common, args.per_other,
        args.speech_minutes, args.seed,
    )  # fmt: skip
    written = speak(request, engine_of(args), args.out, args.workers)
    print(f"{args.out}: {written} recordings written; {args.out / 'manifest.csv'} lists all of them")


def speak(request: SpeakRequest, engine: Engine, out: Path, workers: int) -> int:
    """Carry out a request under a progress bar; returns the number of recordings written."""
    with Progress(transient=True) as bars:
        task = bars.add_task(f"speaking ({engine.name})")
        return speak_plan(
            plan(request, engine), engine, out, workers,
            lambda done, total: bars.update(task, completed=done, total=total),
        )  # fmt: skip
