"""What a sweep tries, from its file."""

from pathlib import Path

import pytest

from training.evaluation.operating_points import SPEED_LIMITS_S

pytest.importorskip("yaml", reason="needs the extra ray: pip install '.[ray]'")

from training.studies.sweep_space import SpaceError, SweepSpace, keep, read_space

KEYWORDS = ("yes", "no")


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def test_every_combination_has_a_recipe(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, "beta: [0, 0.05]\ntheta: [0.5, 0.97]\nhidden: [64]\nseed: [0, 1]\nepochs: 7\n"))
    recipes = space.recipes(KEYWORDS)
    assert list(recipes) == [  # theta_low is 0.6, so no run with theta 0.5
        f"conv-beta{beta}-theta0.97-low0.6-hidden64-seed{seed}" for beta in ("0", "0.05") for seed in (0, 1)
    ]
    recipe = recipes["conv-beta0.05-theta0.97-low0.6-hidden64-seed1"]
    assert (recipe.keywords, recipe.beta, recipe.hidden, recipe.seed, recipe.epochs) == (KEYWORDS, 0.05, 64, 1, 7)
    assert space.speeds == SPEED_LIMITS_S


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bata: [1]", "expected values for some of beta, theta, .*, got bata"),
        ("- 1", "expected values for some of .*, got list"),
        ("beta: [", "expected YAML, got"),
        ("beta: [high]", r"SweepSpace: beta\.0: Input should be a valid number"),
        ("network: [conv, resnet]", "network: expected among paper, conv, got resnet"),
        ("theta: [0.5]", "expected a theta_low that is at most a theta, got none"),
    ],
)
def test_what_is_not_a_space_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        read_space(write(tmp_path, text))


def test_a_sweep_resumes_only_with_its_own_space(tmp_path: Path) -> None:
    space, record = SweepSpace(seed=(0, 1), hidden=(None, 64)), tmp_path / "space.json"
    keep(space, record)
    keep(space, record)
    with pytest.raises(
        SpaceError, match="expected the space of the sweep to resume, got another: choose another --out"
    ):
        keep(SweepSpace(), record)
