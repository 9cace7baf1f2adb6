"""Tables and cells of the pages that commands write."""

from collections.abc import Iterable, Sequence

import numpy as np


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table; each row has one cell per column."""
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def signed_milliseconds(seconds: Iterable[float]) -> str:
    """Times before (-) or after (+) something."""
    return ", ".join(f"{1000 * value:+.0f}" for value in seconds) + " ms"


def mean_and_spread(values: Sequence[float], unit: float = 1.0) -> str:
    """Mean ± standard deviation over seeds, in `unit`s."""
    scaled = np.array(values) / unit
    return f"{scaled.mean():.2f} ± {scaled.std():.2f}" if len(scaled) > 1 else f"{scaled.mean():.2f}"


def mean_percent(values: Sequence[float]) -> str:
    """Mean ± standard deviation of shares over seeds, in percent."""
    return mean_and_spread(values, 0.01) + " %"
