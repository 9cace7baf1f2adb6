"""The plots of the section on continuous audio."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.evaluation.stream_report import StreamMeasurement, SweepPoint

NO_ALARMS = 0.1  # where a logarithmic axis has no false alarms
MAX_ALARMS = 0.5  # false alarms per hour of an operating point


def plot_det(points: Sequence[SweepPoint], path: Path) -> None:
    """Misses against false alarms per hour: of all keywords in several streams, and of each in mixed utterances."""
    from matplotlib.figure import Figure

    where = "speech" if "speech" in points[0].streams else "noise"
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    together, separate = figure.subplots(1, 2, sharey=True)
    for name in ("clean", "10 dB", "mixed"):
        alarms = [max(NO_ALARMS, point.streams[where].false_alarms_per_hour) for point in points]
        together.plot(alarms, [100 * (point.streams[name].misses or 0) for point in points], marker=".", label=name)
    for label in points[0].streams["mixed"].labels:
        alarms = [max(NO_ALARMS, point.streams[where].labels[label].false_alarms_per_hour) for point in points]
        misses = [100 * (point.streams["mixed"].labels[label].misses or 0) for point in points]
        separate.plot(alarms, misses, marker=".", label=label)
    together.set(title="all keywords together", ylabel="misses (%)", ylim=(0, 100))
    separate.set(title="each keyword, mixed")
    for axes in (together, separate):
        axes.set(xscale="log", xlabel=f"false alarms per hour, {where}; {NO_ALARMS}: none")
        axes.axvline(MAX_ALARMS, color="black", linewidth=0.8)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def plot_times(speeds: Mapping[str, StreamMeasurement], path: Path) -> None:
    """When each keyword is decided relative to its end: p10 to p90 and the median, one colour per speed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    labels = list(speeds["balanced"].streams["mixed"].labels)
    for row, (speed, color) in enumerate(zip(speeds, ("tab:green", "tab:blue", "tab:orange"), strict=False)):
        keywords = speeds[speed].streams["mixed"].labels
        times = [(i, keywords[label].decision) for i, label in enumerate(labels)]
        known = [(i + 0.22 * (row - 1), decision.from_end_s) for i, decision in times if decision]
        at = [place for place, _ in known]
        axes.hlines(at, [1000 * time.p10 for _, time in known], [1000 * time.p90 for _, time in known], color=color)
        axes.plot([1000 * time.p50 for _, time in known], at, "o", color=color, label=speed)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(yticks=range(len(labels)), yticklabels=labels, xlabel="decision after the end of the word (ms), mixed")
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(speeds))
    figure.savefig(path, dpi=120)
