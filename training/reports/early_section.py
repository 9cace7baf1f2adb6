"""The part of a model card on early detections. Every number comes from the report that is passed in."""

from collections.abc import Iterator, Mapping, Sequence

from training.evaluation.early import EarlyMetrics
from training.evaluation.stream_metrics import Percentiles
from training.reports.markdown import markdown_table, percent, signed_milliseconds

STREAMS = ("mixed", "clean", "10 dB", "speech", "noise")


def early_lines(early: Mapping[str, Mapping[str, EarlyMetrics]] | None) -> list[str]:
    """Lines of Markdown, none of a model without early detections."""
    if not early:
        return []
    return [
        "With `early`, a detection at the threshold of `fast` is confirmed by the rule of the speed or retracted. "
        "Times are p10, p50, p90; the lead is the time from the early detection of a word to its confirmation.",
        "",
        *markdown_table(
            (
                *("speed, stream", "early, after the end", "lead", "words retracted", "false alarms retracted"),
                *("misses", "false alarms per hour", "early ones per hour"),
            ),
            _rows(early),
        ),
        "",
    ]


def _rows(early: Mapping[str, Mapping[str, EarlyMetrics]]) -> Iterator[Sequence[object]]:
    for speed, streams in early.items():
        for name in STREAMS:
            if metrics := streams.get(name):
                yield (
                    f"{speed}, {name}",
                    *(_times(times) for times in (metrics.from_end_s, metrics.lead_s)),
                    *(percent(part) for part in (metrics.retracted_words, metrics.retracted_false_alarms)),
                    percent(metrics.misses),
                    f"{metrics.false_alarms_per_hour:g}",
                    f"{metrics.early_false_alarms_per_hour:g}",
                )


def _times(times: Percentiles | None) -> str:
    return signed_milliseconds(vars(times).values()) if times else "-"
