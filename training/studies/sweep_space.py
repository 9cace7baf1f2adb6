"""What a sweep tries: values per setting, from a YAML file, and a recipe for every combination of them."""

from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

import yaml

from training.errors import TrainingError
from training.evaluation.operating_points import SPEED_LIMITS_S
from training.learning.settings import RunSettings
from training.presets import PRESETS
from training.recipe import EPOCHS, Recipe
from training.records import Record, RecordError


class SpaceError(TrainingError):
    """The file does not describe a sweep."""


@dataclass(frozen=True)
class SweepSpace(Record):
    """Lists of values; a setting that the file does not name has its usual value."""

    beta: tuple[float, ...] = (RunSettings.beta,)
    theta: tuple[float, ...] = (RunSettings.theta,)
    theta_low: tuple[float, ...] = (RunSettings.theta_low,)
    network: tuple[str, ...] = (Recipe.preset,)
    hidden: tuple[int | None, ...] = (None,)  # units of the LSTM; None for the network's own
    seed: tuple[int, ...] = (0,)
    epochs: int = EPOCHS  # epochs of a run that is not stopped early
    streams: bool = True  # train on streams of words too
    speeds: dict[str, float] = field(default_factory=lambda: dict(SPEED_LIMITS_S))  # wanted: mean decision times

    def recipes(self, keywords: tuple[str, ...]) -> dict[str, Recipe]:
        """A recipe per combination, by its name; without those that would draw thresholds from an empty range."""
        base = Recipe(keywords, epochs=self.epochs, streams=self.streams)
        combinations = product(self.beta, self.theta, self.theta_low, self.network, self.hidden, self.seed)
        recipes = [
            replace(base, beta=beta, theta=theta, theta_low=theta_low, preset=network, hidden=hidden, seed=seed)
            for beta, theta, theta_low, network, hidden, seed in combinations
            if theta_low <= theta
        ]
        return {name_of(recipe): recipe for recipe in recipes}


def name_of(recipe: Recipe) -> str:
    """The name of a run, and of its folder."""
    values = {"beta": recipe.beta, "theta": recipe.theta, "low": recipe.theta_low, "hidden": recipe.hidden}
    parts = [f"{name}{value:g}" for name, value in values.items() if value is not None]
    return "-".join([recipe.preset, *parts, f"seed{recipe.seed}"])


def read_space(path: Path) -> SweepSpace:
    """Raises SpaceError for anything but a file of settings that this version knows."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpaceError(f"{path}: expected YAML, got: {error}") from error
    known = [setting.name for setting in fields(SweepSpace)]
    if not isinstance(values, dict) or (unknown := [name for name in values if name not in known]):
        got = ", ".join(map(str, unknown)) if isinstance(values, dict) else type(values).__name__
        raise SpaceError(f"{path}: expected values for some of {', '.join(known)}, got {got}")
    try:
        space = SweepSpace.from_json(values)
    except RecordError as error:
        raise SpaceError(f"{path}: {error}") from error
    if wrong := [network for network in space.network if network not in PRESETS]:
        raise SpaceError(f"{path}: network: expected among {', '.join(PRESETS)}, got {', '.join(wrong)}")
    if not space.recipes(()):
        raise SpaceError(f"{path}: expected a theta_low that is at most a theta, got none")
    return space


def keep(space: SweepSpace, path: Path) -> None:
    """Write the space of a new sweep. Raises SpaceError where the file has that of another sweep."""
    if path.exists() and SweepSpace.read(path) != space:
        raise SpaceError(f"{path}: expected the space of the sweep to resume, got another: choose another --out")
    space.write(path)
