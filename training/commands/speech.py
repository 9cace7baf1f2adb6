"""rc-train speech: a model from folders of recordings, or with --study section 3.4 of the paper."""

import argparse
from pathlib import Path

from service.bundled import bundled_model
from training.commands.options import OptionError, count, threshold, words
from training.commands.speak import add_voice_options, clean_words, engine_of, speak, spellings_of
from training.data.sources import DataSources
from training.data.speech_commands import KEYWORDS
from training.learning.settings import TrainingMethod
from training.paper import speech_study, speech_study_report
from training.presets import PRESETS
from training.recipe import EPOCHS, FEW_EPOCHS, FEW_STREAM_EPOCHS, MIN_BATCHES, STREAM_BATCH, Recipe, train_and_export
from training.reports.provenance import provenance
from training.speak.plan import SpeakRequest
from training.typed_words import TypedWords, train_typed_words

HELP = "train a model from folders of recordings and export it"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command, required=False)
    command.add_argument(
        "--keywords", type=words, default=",".join(KEYWORDS), help="words to spot, with commas; all others: _unknown_"
    )
    command.add_argument("--network", choices=sorted(PRESETS), default="conv", help="paper: LSTM 128, dense 32")
    command.add_argument(
        "--method",
        choices=("rc", "streams", "certainty", "all-steps", "eos"),
        default="rc",
        help="rc: rank coding; streams: every step of streams with people talking in the background, from --speech; "
        "certainty: every step of single clips, by how certain the network is there; all-steps: all of them alike; "
        "eos: the last step",
    )
    command.add_argument("--beta", type=float, default=0.05, help="weight of the entropy term, equation 7")
    command.add_argument(
        "--threshold", dest="theta", type=threshold, default=0.97, help="an output that reaches it is a spike"
    )
    command.add_argument(
        "--threshold-low",
        dest="theta_low",
        type=threshold,
        default=0.6,
        help="each sequence draws its threshold from here up; equal to --threshold: Algorithm 1 as published",
    )
    command.add_argument(
        "--epochs",
        type=int,
        default=0,
        help=f"maximum number of epochs, of {MIN_BATCHES} batches or more; a run stops early when validation no "
        f"longer improves (default: {EPOCHS}, with --from or few clips {FEW_EPOCHS}; "
        f"of streams with few clips {FEW_STREAM_EPOCHS})",
    )
    command.add_argument(
        "--batch", type=count, default=STREAM_BATCH, help="streams per step of --method streams; more for a GPU"
    )
    command.add_argument("--seed", type=int, default=0, help="of weights, batches and augmentation")
    command.add_argument(
        "--clips-only", dest="streams", action="store_false", help="no streams of words: for answers to single clips"
    )
    command.add_argument(
        "--from", dest="initial_checkpoint", default="", help="begin with network and weights of this checkpoint"
    )
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    command.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    command.add_argument("--out", type=Path, required=True, help="folder of the run; its name is the model's")
    add_typed_words(command)
    study = command.add_argument_group(
        "study", "section 3.4 of the paper; of the options above only --data-dir, --keywords, --device and --out count"
    )
    study.add_argument("--study", action="store_true", help="train and compare many runs; rerun it to continue")
    study.add_argument("--quick", action="store_true", help="a small network on a few clips, to see it work")
    study.add_argument("--seeds", type=count, help="how many times each network is trained (default: 3)")


def add_typed_words(command: argparse.ArgumentParser) -> None:
    typed = command.add_argument_group(
        "from typed words",
        "synthetic voices speak the words; of the options above --data-dir (real recordings of other words, such as "
        "Speech Commands), --noise, --rooms, --speech, --epochs, --batch, --seed, --from (default: the shipped model), "
        "--device and --out count. Rerun the command to continue.",
    )
    typed.add_argument("--say", nargs="+", metavar="WORD", help="words or phrases to spot, from nothing but these")
    add_voice_options(typed, "--spelling")
    typed.add_argument(
        "--recordings", type=Path, metavar="DIR", help="real recordings of the words, in a folder each, to mix in"
    )
    typed.add_argument(
        "--captures", type=Path, metavar="DIR",
        help="what rc-serve --capture-dir kept, answered in the review.csv that rc-train review writes",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    if args.say:
        run_typed_words(args)
        return
    if args.data_dir is None:
        raise OptionError("--data-dir: expected a folder with recordings, or --say WORD to train without")
    if args.study:
        run_study(args)
        return
    for option, is_used in (("--quick", args.quick), ("--seeds", args.seeds is not None)):
        if is_used:
            raise OptionError(f"{option}: expected --study beside it")
    if args.theta_low > args.theta:
        raise OptionError(f"--threshold-low: expected at most --threshold, {args.theta:g}, got {args.theta_low:g}")
    recipe = Recipe(
        args.keywords, args.network, TrainingMethod(args.method), args.beta, args.theta, args.theta_low, args.epochs,
        args.seed, args.streams, args.initial_checkpoint, args.batch,
    )  # fmt: skip
    train_and_export(DataSources.from_args(args), recipe, args.device, args.resume, args.out)


def run_typed_words(args: argparse.Namespace) -> None:
    words = clean_words(args.say)
    engine = engine_of(args)
    request = SpeakRequest(words, spellings_of(args.spellings, words), seed=args.seed)
    weights = Path(args.initial_checkpoint or bundled_model() / "weights.pt")
    if not weights.is_file():
        raise OptionError(f"--from: expected a checkpoint to begin with, found none: {weights}")
    asked = TypedWords(
        request, args.data_dir, args.recordings, args.captures, tuple(args.noise), tuple(args.rooms),
        tuple(args.speech), Recipe(
            words, epochs=args.epochs, seed=args.seed, initial_checkpoint=str(weights), stream_batch=args.batch
        ),
    )  # fmt: skip
    train_typed_words(
        asked, lambda request, out: speak(request, engine, out, args.workers), engine.name, args.device, args.out,
        provenance(args.command_line, args.seed),
    )  # fmt: skip
    print(f"{args.out / 'README.md'}; to serve it: rc-serve --models {args.out.parent} --model {args.out.name}")


def run_study(args: argparse.Namespace) -> None:
    seeds = 3 if args.seeds is None else args.seeds
    result = speech_study.run(args.data_dir, args.keywords, args.device, args.quick, seeds, args.out, args.command_line)
    speech_study_report.write(result, args.out)
