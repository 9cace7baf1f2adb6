"""A sweep of eight runs that take seconds: `python -m tests.support.tiny_sweep WORDS OUT`."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support import tiny_run
from training.data.sources import DataSources
from training.data.training_data import TrainingData
from training.learning.settings import RunSettings
from training.recipe import Recipe
from training.reports.provenance import provenance
from training.studies import sweep, sweep_report

EPOCHS = 6
HOPELESS = 100.0  # a beta at which all outputs become alike
SPEEDS = {"fast": 0.6, "accurate": 1.0}


@dataclass(frozen=True)
class TinyRecipe(Recipe):
    """The settings of a tiny run, with the recipe's beta, width and seed."""

    def settings(self, data: TrainingData) -> RunSettings:
        network = replace(tiny_run.SETTINGS.network, hidden=self.hidden or tiny_run.SETTINGS.network.hidden)
        return replace(tiny_run.SETTINGS, network=network, beta=self.beta, seed=self.seed, epochs=self.epochs)


def main(words: Path, out: Path) -> int:
    recipes = {
        f"beta{beta:g}-seed{seed}": TinyRecipe(tiny_run.LABELS.keywords, beta=beta, hidden=24, seed=seed, epochs=EPOCHS)
        for beta, seeds in ((0.0, 2), (HOPELESS, 6))
        for seed in range(seeds)
    }
    tiny = sweep.Sweep(recipes, DataSources(words), SPEEDS, out, "cpu")
    try:
        result = sweep.run(tiny, "local", 0, provenance("tiny_sweep", 0))
    except KeyboardInterrupt:
        return 130
    sweep_report.write(result, out)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
