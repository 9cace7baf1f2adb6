"""rc-train: the commands of training. Thin: each passes its options to the module that does the work."""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from service.spotting.audio import AudioError
from service.spotting.metadata import ModelError
from service.spotting.model import Model
from training.data.download import fetch_mnist, fetch_speech_commands
from training.data.sources import DataSources
from training.data.speech_commands import KEYWORDS
from training.data.training_data import load_training_data
from training.errors import TrainingError
from training.evaluation.calibration import SILENCE_AFTER_S, SILENCE_DBFS, export_checkpoint, silence_rule
from training.evaluation.clip_report import evaluate_folder
from training.evaluation.quantization import compare_quantized
from training.evaluation.streams import evaluate_sources
from training.learning.checkpoint import read_checkpoint
from training.learning.settings import RunSettings, TrainingMethod
from training.model.export import change_silence
from training.paper import (
    mnist,
    report,
    sequence_spotting,
    sequence_spotting_report,
    speech_study,
    speech_study_report,
    temporal_mnist,
    temporal_mnist_report,
    two_sequence,
    two_sequence_report,
)
from training.presets import PRESETS
from training.recipe import EPOCHS, FEW_EPOCHS, MIN_BATCHES, STREAM_BATCH, Recipe, train_and_export
from training.reports.model_card import card_figures, write_model_files
from training.reports.model_report import ModelReport
from training.reports.provenance import provenance
from training.studies import custom_keywords, rc_vs_eos
from training.studies.epoch_cost import measure_cost

USER_ERRORS = (TrainingError, AudioError, ModelError)  # all others are faults of this program and keep their traceback
SPLITS = ("validation", "test")
N = TypeVar("N", int, float)


class OptionError(TrainingError):
    """Options that do not go together."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of every option that takes a value and has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default and action.nargs != 0 else action.help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a message for bad data, models or downloads."""
    args = parser().parse_args(argv)
    args.command_line = shlex.join(["rc-train", *(sys.argv[1:] if argv is None else argv)])
    try:
        args.run(args)
    except USER_ERRORS as error:
        print(f"rc-train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rc-train: interrupted; rerun the same command to continue (add --resume for `speech`)", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="rc-train", description="Train, export and measure rank-coded keyword spotters.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, add, about in (
        ("speech", add_speech, "train a model from folders of recordings and export it"),
        ("export", add_export, "export a checkpoint to ONNX, speeds chosen on validation"),
        ("silence", add_silence, "change the rule by which an exported model takes audio for silence"),
        ("evaluate", add_evaluate, "measure an exported model on a split"),
        ("compare", add_compare, "accuracy against decision time: RC runs beside EOS runs"),
        ("int8", add_int8, "speed, accuracy and decision time of a model and of itself quantised to 8 bits"),
        ("own-words", add_own_words, "accuracy on custom keywords against their number of recordings"),
        ("sweep", add_sweep, "train many models side by side on Ray and choose the best for each wanted speed"),
        ("cost", add_cost, "CPU time of an RC epoch beside an EOS epoch"),
        ("download", add_download, "fetch Speech Commands v0.02 from its official address"),
        ("sequence-spotting", add_sequence_spotting, "section 3.1 of the paper, figure 1"),
        ("two-sequence", add_two_sequence, "section 3.2 of the paper, figure 2"),
        ("temporal-mnist", add_temporal_mnist, "section 3.3 of the paper, figure 3 and table 1"),
        ("report", add_report, "one page with the results of the experiments of the paper"),
    ):
        add(commands.add_parser(name, help=about, formatter_class=HelpFormatter))
    return top


def words(value: str) -> tuple[str, ...]:
    """Different words with commas between them."""
    separate = tuple(value.split(","))
    if len(set(separate)) < len(separate) or any(not word or word.startswith("_") for word in separate):
        raise argparse.ArgumentTypeError(f"expected different words with commas between them, got {value!r}")
    return separate


def threshold(value: str) -> float:
    """A score between 0 and 1 that an output can reach."""
    return number(value, float, 0.0 < float(value) < 1.0, "a number between 0 and 1")


def count(value: str) -> int:
    """A whole number from 1 up."""
    return number(value, int, int(value) > 0, "a whole number from 1 up")


def positive(value: str) -> float:
    return number(value, float, 0 < float(value) < math.inf, "a number above 0")


def dbfs(value: str) -> float:
    return number(value, float, -math.inf < float(value) < 0, "a number below 0")


def seconds(value: str) -> float:
    return number(value, float, 0 <= float(value) <= 60, "0 to 60")


def number(value: str, kind: Callable[[str], N], is_valid: bool, expected: str) -> N:
    if not is_valid:
        raise argparse.ArgumentTypeError(f"expected {expected}, got {value}")
    return kind(value)


def add_split(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=SPLITS, default="validation", help="which clips are measured on")


def add_speech(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
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
        f"longer improves (default: {EPOCHS}, with --from or few clips {FEW_EPOCHS})",
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
    study = command.add_argument_group(
        "study", "section 3.4 of the paper; of the options above only --data-dir, --keywords, --device and --out count"
    )
    study.add_argument("--study", action="store_true", help="train and compare many runs; rerun it to continue")
    study.add_argument("--quick", action="store_true", help="a small network on a few clips, to see it work")
    study.add_argument("--seeds", type=count, help="how many times each network is trained (default: 3)")
    command.set_defaults(run=run_speech)


def run_speech(args: argparse.Namespace) -> None:
    if args.study:
        run_speech_study(args)
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


def run_speech_study(args: argparse.Namespace) -> None:
    seeds = 3 if args.seeds is None else args.seeds
    result = speech_study.run(args.data_dir, args.keywords, args.device, args.quick, seeds, args.out, args.command_line)
    speech_study_report.write(result, args.out)


def add_export(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="best.pt of a run")
    command.add_argument("--out", type=Path, required=True, help="folder for model.onnx; its name is the model's")
    add_silence_rule(command)
    command.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> None:
    silence = silence_rule(args.silence_dbfs, args.silence_after)
    export_checkpoint(args.checkpoint, DataSources.from_args(args), args.out, silence)


def add_silence_rule(command: argparse.ArgumentParser) -> None:
    command.add_argument("--silence-dbfs", type=dbfs, default=SILENCE_DBFS, help="peak of what may be silence")
    command.add_argument(
        "--silence-after", type=seconds, default=SILENCE_AFTER_S, metavar="S",
        help="how long audio is so quiet before the model is no longer run; 0: the model is always run",
    )  # fmt: skip


def add_silence(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model, which is changed")
    add_silence_rule(command)
    command.set_defaults(run=run_silence)


def run_silence(args: argparse.Namespace) -> None:
    change_silence(args.model, silence_rule(args.silence_dbfs, args.silence_after))


def add_evaluate(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    add_split(command)
    command.add_argument(
        "--streams", action="store_true", help="measure continuous audio too; all of it needs --speech"
    )
    command.add_argument("--hours", type=positive, default=2.0, help="length of each test stream")
    command.add_argument("--json", action="store_true", help="print the whole report as JSON")
    command.add_argument("--card", action="store_true", help="write report.json, README.md and plots beside the model")
    command.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> None:
    model = Model(args.model)
    clips = evaluate_folder(model, args.data_dir, args.split)
    streams = evaluate_sources(model, DataSources.from_args(args), args.split, args.hours) if args.streams else None
    measured = provenance(args.command_line, model.metadata.seed)
    model_report = ModelReport(**vars(clips), measured=measured, streams=streams)
    if args.card:
        write_model_files(model.metadata, model_report, args.model)
    print(json.dumps(model_report.to_json(), indent=1) if args.json else "\n".join(card_figures(model_report)))


def add_compare(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--rc", type=Path, nargs="+", required=True, help="runs trained with --method rc")
    command.add_argument("--eos", type=Path, nargs="+", required=True, help="the same with --method eos")
    add_split(command)
    command.add_argument("--out", type=Path, required=True, help="folder for README.md, data.json and curve.png")
    command.set_defaults(run=run_compare)


def run_compare(args: argparse.Namespace) -> None:
    measured = provenance(args.command_line, 0)
    rc_vs_eos.write(rc_vs_eos.compare_runs(args.rc, args.eos, args.data_dir, args.split, measured), args.out)
    print((args.out / "README.md").read_text())


def add_own_words(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument(
        "--words", type=words, default="cat,bed,happy", help="new keywords, with commas; all others: _unknown_"
    )
    command.add_argument("--clips", type=count, nargs="+", default=[5, 20, 50, 100, 300], help="numbers of recordings")
    command.add_argument(
        "--from", dest="initial_checkpoint", default=custom_keywords.INITIAL_CHECKPOINT,
        help="checkpoint that half of the models begin with",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, help="folder; models that it has are not trained again")
    command.set_defaults(run=run_own_words)


def run_own_words(args: argparse.Namespace) -> None:
    measured = provenance(args.command_line, 0)
    study = custom_keywords.study_keywords(
        args.data_dir, args.words, args.clips, args.initial_checkpoint, args.out, measured
    )
    custom_keywords.write(study, args.out)
    print((args.out / "README.md").read_text())


def add_sweep(command: argparse.ArgumentParser) -> None:
    command.add_argument("space", type=Path, metavar="SPACE.yaml", help="values of beta, theta, hidden, seed, ...")
    DataSources.add_arguments(command)
    command.add_argument("--keywords", type=words, default=",".join(KEYWORDS), help="words to spot, with commas")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    command.add_argument("--ray", metavar="ADDRESS", default="local", help="a Ray cluster, HOST:PORT or local")
    command.add_argument("--gpus", type=float, default=0.0, help="GPUs per run, such as 0.25 for four runs on each")
    command.add_argument("--out", type=Path, required=True, help="folder; a sweep in it is resumed")
    command.set_defaults(run=run_sweep)


def run_sweep(args: argparse.Namespace) -> None:
    if not find_spec("ray"):
        raise OptionError("sweep: expected the package ray, got none: pip install '.[ray]'")
    from training.studies import sweep, sweep_report, sweep_space  # of an extra, and slow to import

    space = sweep_space.read_space(args.space)
    out = args.out.absolute()
    sweep_space.keep(space, out / "space.json")
    sources = DataSources.from_args(args).absolute()
    asked = sweep.Sweep(space.recipes(args.keywords), sources, space.speeds, out, args.device)
    result = sweep.run(asked, args.ray, args.gpus, provenance(args.command_line, space.seed[0]))
    sweep_report.write(result, out)
    print((out / "README.md").read_text())


def add_cost(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="last.pt of a run with --method rc")
    command.add_argument("--batches", type=count, default=60, help="how many batches are measured by each method")
    command.set_defaults(run=run_cost)


def run_cost(args: argparse.Namespace) -> None:
    settings = RunSettings.from_dict(read_checkpoint(args.checkpoint)["settings"])
    data = load_training_data(DataSources(args.data_dir), settings.labels)
    print(json.dumps(measure_cost(settings, args.checkpoint, data, args.batches).to_json(), indent=1))


def add_int8(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    add_split(command)
    command.add_argument("--out", type=Path, help="folder that the quantised model is written to")
    command.set_defaults(run=run_int8)


def run_int8(args: argparse.Namespace) -> None:
    rows = compare_quantized(args.model, args.data_dir, args.split, args.out)
    print(json.dumps([row.to_json() for row in rows], indent=1))


def add_download(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="destination; 2.4 GB are fetched, an interrupted fetch resumes")
    command.set_defaults(run=lambda args: fetch_with_bar("speech_commands_v0.02", fetch_speech_commands, args.folder))


def fetch_with_bar(name: str, fetch: Callable[..., Path], folder: Path) -> None:
    with Progress(*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn()) as bars:
        task = bars.add_task(name)
        fetch(folder, progress=lambda done, total: bars.update(task, completed=done, total=total))


def add_experiment(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="small networks for a minute or two, to see it work")
    command.add_argument("--seeds", type=count, default=3, help="how many times each network is trained")
    command.add_argument(
        "--out", type=Path, required=True, help="folder for README.md, data.json, figures and runs, which are kept"
    )


def add_sequence_spotting(command: argparse.ArgumentParser) -> None:
    add_experiment(command)
    command.set_defaults(run=run_sequence_spotting)


def run_sequence_spotting(args: argparse.Namespace) -> None:
    result = sequence_spotting.run(args.quick, args.seeds, args.out, args.command_line)
    sequence_spotting_report.write(result, args.out)


def add_two_sequence(command: argparse.ArgumentParser) -> None:
    add_experiment(command)
    command.set_defaults(run=run_two_sequence)


def run_two_sequence(args: argparse.Namespace) -> None:
    result = two_sequence.run(args.quick, args.seeds, args.out, args.command_line)
    two_sequence_report.write(result, args.out)


def add_temporal_mnist(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=Path,
        required=True,
        help="folder of MNIST's four files; fetched (11 MB) where any is missing",
    )
    add_experiment(command)
    command.set_defaults(run=run_temporal_mnist)


def run_temporal_mnist(args: argparse.Namespace) -> None:
    if not mnist.is_complete(args.data_dir):
        fetch_with_bar("MNIST", fetch_mnist, args.data_dir)
    for result in temporal_mnist.run(args.data_dir, args.quick, args.seeds, args.out, args.command_line):
        temporal_mnist_report.write(result, args.out)


def add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, required=True, help=f"folder with {', '.join(report.EXPERIMENTS)}")
    command.add_argument(
        "--out", type=Path, default=Path("docs/results/paper"), help="folder for README.md and figures"
    )
    command.set_defaults(run=lambda args: print(report.gather(args.runs, args.out)))
