"""rc-train: the commands of training. Thin; each hands over to the module that does the work."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from service.spotting.audio import AudioError
from service.spotting.model import Model, ModelError
from training import recipe as speech
from training.data import recordings as sc
from training.data.download import DownloadError, fetch_mnist, fetch_speech_commands
from training.evaluation import clips as evaluate
from training.evaluation import quantization as int8
from training.evaluation import streams as stream_evaluation
from training.learning.checkpoint import RunSettings
from training.model.export import ExportMismatch
from training.paper import mnist, sequence_spotting, speech_study, temporal_mnist, two_sequence
from training.paper import report as paper_report
from training.reports import model_card as report
from training.studies import custom_keywords as own_words
from training.studies import epoch_cost as cost
from training.studies import rc_vs_eos as compare

KEYWORDS = "yes,no,up,down,left,right,go,stop"
SETTINGS = ("method", "beta", "theta", "theta_low", "epochs", "seed", "streams", "base")  # options that decide a run

Experiment = Callable[[bool, int, Path, str], None]  # quick, seeds, folder, command line


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the default of every option that takes a value and has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default and action.nargs != 0 else action.help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a message for bad data, models or downloads."""
    args = parser().parse_args(argv)
    args.command_line = shlex.join(["rc-train", *(sys.argv[1:] if argv is None else argv)])
    try:
        args.run(args)
    except (sc.DatasetError, AudioError, ModelError, ExportMismatch, DownloadError, ValueError) as error:
        print(f"rc-train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rc-train: stopped; the same command goes on, `speech` with --resume", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="rc-train", description="Train, export and measure rank-coded keyword spotters.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, add, about in (
        ("speech", add_speech, "train a model from folders of recordings and export it"),
        ("export", add_export, "export a checkpoint to ONNX, speeds chosen on validation"),
        ("evaluate", add_evaluate, "measure an exported model on a split"),
        ("compare", add_compare, "accuracy against decision time of RC runs beside EOS runs"),
        ("int8", add_int8, "speed, accuracy and decision time of a model beside itself in 8 bits"),
        ("own-words", add_own_words, "accuracy on new words against the number of recordings of each"),
        ("cost", add_cost, "CPU time of an RC epoch beside an EOS epoch"),
        ("download", add_download, "fetch Speech Commands v0.02 from its official address"),
        ("sequence-spotting", experiment(sequence_spotting.run), "section 3.1 of the paper, figure 1"),
        ("two-sequence", experiment(two_sequence.run), "section 3.2 of the paper, figure 2"),
        ("temporal-mnist", add_temporal_mnist, "section 3.3 of the paper, figure 3 and table 1"),
        ("report", add_report, "one page of what the experiments of the paper gave"),
    ):
        add(commands.add_parser(name, help=about, formatter_class=Help))
    return top


def add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", type=Path, required=True, help="a folder of recordings for each word")


def add_surroundings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--noise", type=Path, nargs="*", default=[], help="folders of background recordings")
    command.add_argument("--rooms", type=Path, nargs="*", default=[], help="folders of room impulse responses")


def add_running_speech(command: argparse.ArgumentParser) -> None:
    command.add_argument("--speech", type=Path, nargs="*", default=[], help="folders of running speech with word times")


def add_speech(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--keywords", default=KEYWORDS, help="words to spot, with commas; all others are _unknown_")
    add_surroundings(command)
    add_running_speech(command)
    command.add_argument("--network", choices=sorted(speech.PRESETS), default="conv", help="paper: LSTM 128, dense 32")
    command.add_argument("--method", choices=("rc", "eos"), default="rc", help="eos: back-propagate from the last step")
    command.add_argument("--beta", type=float, default=0.05, help="weight of the entropy term, equation 7")
    command.add_argument(
        "--threshold", dest="theta", type=float, default=0.97, help="an output that reaches it is a spike"
    )
    command.add_argument(
        "--threshold-low",
        dest="theta_low",
        type=float,
        default=0.6,
        help="each sequence draws its threshold from here up; equal to --threshold: Algorithm 1 as published",
    )
    command.add_argument(
        "--epochs",
        type=int,
        default=0,
        help=f"at most, each of {speech.EPOCH_STEPS} batches or more; a run stops early when validation stands still "
        f"(default: {speech.EPOCHS}, with --from or few clips {speech.FEW_EPOCHS})",
    )
    command.add_argument("--seed", type=int, default=0, help="of weights, batches and augmentation")
    command.add_argument(
        "--clips-only", dest="streams", action="store_false", help="no streams of words: for answers to single clips"
    )
    command.add_argument("--from", dest="base", default="", help="begin with network and weights of this checkpoint")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    command.add_argument("--out", type=Path, required=True, help="folder of the run; its name is the model's")
    study = command.add_argument_group(
        "study", "section 3.4 of the paper; of the options above only --data-dir, --keywords, --device and --out count"
    )
    study.add_argument("--study", action="store_true", help="train and compare many runs; a stopped study goes on")
    study.add_argument("--quick", action="store_true", help="a small network on a few clips, to see it work")
    study.add_argument("--seeds", type=int, help="how many times each network is trained (default: 3)")
    command.set_defaults(run=run_speech)


def run_speech(args: argparse.Namespace) -> None:
    if args.study:
        keywords = args.keywords.split(",")
        seeds = 3 if args.seeds is None else args.seeds
        speech_study.run(args.data_dir, keywords, args.device, args.quick, seeds, args.out, args.command_line)
        return
    for option, given in (("--quick", args.quick), ("--seeds", args.seeds is not None)):
        if given:
            raise ValueError(f"{option}: expected --study beside it")
    speech.train_and_export(
        folder=args.data_dir, keywords=args.keywords.split(","), noise=args.noise, rooms=args.rooms, talk=args.speech,
        settings={name: getattr(args, name) for name in SETTINGS},
        preset=args.network, device=args.device, resume=args.resume, out=args.out,
    )  # fmt: skip


def add_export(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="best.pt of a run")
    command.add_argument("--out", type=Path, required=True, help="folder for model.onnx; its name is the model's")
    add_surroundings(command)
    add_running_speech(command)
    command.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> None:
    speech.export_run(args.checkpoint, args.data_dir, args.noise, args.rooms, args.speech, args.out)


def add_evaluate(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    command.add_argument("--split", choices=("validation", "test"), default="validation")
    command.add_argument(
        "--streams", action="store_true", help="measure endless audio too; needs --speech for all of it"
    )
    add_surroundings(command)
    add_running_speech(command)
    command.add_argument("--hours", type=float, default=2.0, help="of each of the eight test streams")
    command.add_argument("--json", action="store_true", help="print the whole report as JSON")
    command.add_argument("--card", action="store_true", help="write report.json, README.md and plots beside the model")
    command.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> None:
    model = Model(args.model)
    found = evaluate.evaluate_folder(model, args.data_dir, args.split)
    if args.streams:
        found["streams"] = stream_evaluation.evaluate_folders(
            model, args.data_dir, args.split, args.noise, args.rooms, args.speech, args.hours
        )
    found["measured"] = report.facts(args.command_line, model.metadata.seed)
    if args.card:
        report.write_model_files(model.metadata, found, args.model)
    print(json.dumps(found, indent=1) if args.json else "\n".join(report.card_figures(found)))


def add_compare(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--rc", type=Path, nargs="+", required=True, help="runs trained with --method rc")
    command.add_argument("--eos", type=Path, nargs="+", required=True, help="the same with --method eos")
    command.add_argument("--split", choices=("validation", "test"), default="validation")
    command.add_argument("--out", type=Path, required=True, help="folder for README.md, data.json and curve.png")
    command.set_defaults(run=run_compare)


def run_compare(args: argparse.Namespace) -> None:
    found = compare.compare(args.rc, args.eos, args.data_dir, args.split)
    found["measured"] = report.facts(args.command_line, 0)
    compare.write(found, args.out)
    print((args.out / "README.md").read_text())


def add_own_words(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--words", default="cat,bed,happy", help="new words, with commas; all others are _unknown_")
    command.add_argument("--clips", type=int, nargs="+", default=[5, 20, 50, 100, 300], help="numbers of recordings")
    command.add_argument("--from", dest="base", default=own_words.BASE, help="checkpoint to begin with, or not")
    command.add_argument("--out", type=Path, required=True, help="folder; models that are in it are not trained again")
    command.set_defaults(run=run_own_words)


def run_own_words(args: argparse.Namespace) -> None:
    found = own_words.own_words(args.data_dir, args.words.split(","), args.clips, args.base, args.out)
    found["measured"] = report.facts(args.command_line, 0)
    own_words.write(found, args.out)
    print((args.out / "README.md").read_text())


def add_cost(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="last.pt of a run with --method rc")
    command.add_argument("--batches", type=int, default=60, help="how many batches are measured by each method")
    command.set_defaults(run=run_cost)


def run_cost(args: argparse.Namespace) -> None:
    settings = RunSettings.from_dict(speech.load_checkpoint(args.checkpoint)["settings"])
    data = speech.load_data(args.data_dir, settings.labels, [], [])
    print(json.dumps(cost.cost(settings, args.checkpoint, data, args.batches), indent=1))


def add_int8(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    command.add_argument("--split", choices=("validation", "test"), default="validation")
    command.add_argument("--out", type=Path, help="folder that the one in 8 bits is written to")
    command.set_defaults(run=run_int8)


def run_int8(args: argparse.Namespace) -> None:
    print(json.dumps(int8.compare(args.model, args.data_dir, args.split, args.out), indent=1))


def add_download(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="where to put it; 2.4 GB are fetched, an interrupted fetch goes on")
    command.set_defaults(run=run_download)


def run_download(args: argparse.Namespace) -> None:
    fetch_with_bar("speech_commands_v0.02", fetch_speech_commands, args.folder)


def fetch_with_bar(name: str, fetch: Callable[..., Path], folder: Path) -> None:
    with Progress(*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn()) as bars:
        task = bars.add_task(name)
        fetch(folder, progress=lambda done, total: bars.update(task, completed=done, total=total))


def experiment(run: Experiment) -> Callable[[argparse.ArgumentParser], None]:
    """What adds the options of a toy problem to its command."""

    def add(command: argparse.ArgumentParser) -> None:
        add_experiment(command)
        command.set_defaults(run=lambda args: run(args.quick, args.seeds, args.out, args.command_line))

    return add


def add_experiment(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="small networks for a minute or two, to see it work")
    command.add_argument("--seeds", type=int, default=3, help="how many times each network is trained")
    command.add_argument("--out", type=Path, required=True, help="folder; runs that are in it are not repeated")


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
    temporal_mnist.run(args.data_dir, args.quick, args.seeds, args.out, args.command_line)


def add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, required=True, help=f"folder with {', '.join(paper_report.EXPERIMENTS)}")
    command.add_argument(
        "--out", type=Path, default=Path("docs/results/paper"), help="folder for README.md and figures"
    )
    command.set_defaults(run=lambda args: print(paper_report.gather(args.runs, args.out)))
