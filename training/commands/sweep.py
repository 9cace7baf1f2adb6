"""rc-train sweep: many models side by side on a Ray cluster."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from training.commands.options import OptionError, words
from training.data.sources import DataSources
from training.data.speech_commands import KEYWORDS
from training.reports.provenance import provenance

HELP = "train many models side by side on Ray and choose the best for each wanted speed"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("space", type=Path, metavar="SPACE.yaml", help="values of beta, theta, hidden, seed, ...")
    DataSources.add_arguments(command)
    command.add_argument("--keywords", type=words, default=",".join(KEYWORDS), help="words to spot, with commas")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    command.add_argument("--ray", metavar="ADDRESS", default="local", help="a Ray cluster, HOST:PORT or local")
    command.add_argument("--gpus", type=float, default=0.0, help="GPUs per run, such as 0.25 for four runs on each")
    command.add_argument("--out", type=Path, required=True, help="folder; a sweep in it is resumed")


def run(args: argparse.Namespace) -> None:
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
