"""The two toy problems of the paper, sections 3.1 and 3.2, and the probabilities of an optimal observer.

Owns generation, exact answers and exact limits. Knows nothing of networks.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SPOTTING_STEPS, RUN = 25, 5  # a positive sequence has RUN equal steps in a row
TWO_STEPS, MEAN = 40, 0.05  # each step is Gaussian about +MEAN or -MEAN
SIGMA = (0.05, 0.25)  # standard deviation of a sequence, uniform
SIGMA_GRID = 64  # points to integrate it over


def spotting(count: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Sequences of ones and zeros [count, 25] and labels (1: a run of five)."""
    sequences = rng.integers(0, 2, (count, SPOTTING_STEPS)).astype(np.float64)
    return sequences, np.asarray((run_lengths(sequences) >= RUN).any(axis=1)).astype(np.int64)


def earliest(sequences: Floats) -> Integers:
    """The step [count] that completes the first run of five; of a sequence without one the last."""
    complete = run_lengths(sequences) >= RUN
    step = np.where(complete.any(axis=1), complete.argmax(axis=1), sequences.shape[1] - 1)
    return step.astype(np.int64)


def run_lengths(sequences: Floats) -> Integers:
    """How many equal steps in a row end at each step of [count, steps]."""
    lengths = np.ones(sequences.shape, np.int64)
    for t in range(1, sequences.shape[1]):
        lengths[:, t] = np.where(sequences[:, t] == sequences[:, t - 1], lengths[:, t - 1] + 1, 1)
    return lengths


def spotting_posterior(sequences: Floats) -> Floats:
    """Exact probability of the positive class after each step, [count, steps]: by the run so far and the steps left.

    Short of 0 and 1 it lies between 1/16 and 15/16, so at any threshold between 15/16 and 1 the Bayes-optimal observer
    answers as soon as the class is certain, and never wrongly.
    """
    table = np.zeros((SPOTTING_STEPS, RUN + 1))  # [steps left, run so far]; a complete run stays complete
    table[:, RUN] = 1
    for steps in range(1, SPOTTING_STEPS):
        table[steps, 1:RUN] = 0.5 * table[steps - 1, 2:] + 0.5 * table[steps - 1, 1]
    longest = np.minimum(run_lengths(sequences), RUN)
    seen = np.maximum.accumulate(longest == RUN, axis=1)
    left = SPOTTING_STEPS - 1 - np.arange(sequences.shape[1])
    return np.where(seen, 1.0, table[left, longest])


def two_sequence(count: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Sequences [count, 40] about +0.05 (label 1) or -0.05 (label 0), each with a standard deviation of its own."""
    labels = rng.integers(0, 2, count)
    sigma = rng.uniform(*SIGMA, (count, 1))
    return (2 * labels[:, None] - 1) * MEAN + sigma * rng.standard_normal((count, TWO_STEPS)), labels


def two_sequence_posterior(sequences: Floats) -> Floats:
    """Probability of label 1 after each step [count, steps] for an observer who does not know sigma.

    Both likelihoods are integrated over the uniform prior of sigma: the optimal sequential test (Wald 1947) stops on
    this probability.
    """
    steps = np.arange(1, sequences.shape[1] + 1)
    total, squares = sequences.cumsum(axis=1), np.square(sequences).cumsum(axis=1)
    both = np.full((2, *sequences.shape), -np.inf)
    for sigma in np.linspace(*SIGMA, SIGMA_GRID):
        for label, mean in enumerate((-MEAN, MEAN)):
            distance = squares - 2 * mean * total + steps * mean**2
            log_likelihood = -steps * np.log(sigma) - distance / (2 * sigma**2)
            both[label] = np.logaddexp(both[label], log_likelihood)
    return 1 / (1 + np.exp(np.clip(both[0] - both[1], -700, 700)))


def falling_thresholds(posterior: Floats, cost: float) -> Floats:
    """The best threshold of each step [steps] for an observer who pays `cost` of accuracy for every step.

    Backward from the end over sample paths [count, steps]: a step's threshold is the one above which stopping pays most
    compared with continuing by the thresholds of the later steps.
    """
    certainty = np.maximum(posterior, 1 - posterior)
    worth = certainty - cost * np.arange(certainty.shape[1])
    theta, continuing = np.full(certainty.shape[1], 0.5), worth[:, -1]
    for step in reversed(range(certainty.shape[1] - 1)):
        order = np.argsort(-certainty[:, step])
        gain = np.cumsum((worth[:, step] - continuing)[order])
        theta[step] = certainty[order[gain.argmax()], step] if gain.max() > 0 else np.inf
        continuing = np.where(certainty[:, step] >= theta[step], worth[:, step], continuing)
    return theta
