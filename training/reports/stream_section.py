"""The section of a model card on endless audio, and its plots. Every number comes from the figures passed in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
FIRING = 4  # words in the table of what fires a label


def section(streams: Figures) -> list[str]:
    """Lines of Markdown for `streams` of report.json."""
    speeds = streams["speeds"]
    data, mixed = streams["data"], speeds["balanced"]["mixed"]
    return [
        "",
        "## Endless audio",
        "",
        f"Streams of {mixed['hours']:g} h composed from the {data['split']} split: {mixed['keywords']} keywords (of "
        f"{data['keyword_clips']} clips) between other words (of {data['other_clips']}), beginnings of keywords and "
        f"pieces of running speech ({data['speech_minutes']:g} min by {data['speech_speakers']} speakers); "
        f"{data['noise_minutes']:g} min of noise and music, "
        f"{data['rooms']} rooms. A detection from the beginning of its word to 0.5 s after its end is a hit. `clean` "
        "and the rows of SNR are without rooms; `mixed` has rooms, microphones and 5 to 30 dB of SNR.",
        "",
        "| speed | misses mixed | clean | 20 dB | 10 dB | 5 dB | 0 dB | doubles | p10, p50, p90 after the end "
        "| after the beginning |",
        "| --- " * 10 + "|",
        *(speed_row(speed, found) for speed, found in speeds.items()),
        "",
        *confirm_lines(streams["confirm_ms"]),
        "False alarms an hour, by keyword. In running speech the keywords that are really said are no false alarms; "
        "words that sound the same (know, write) are.",
        "",
        *alarm_table(speeds),
        "",
        *interval_lines(speeds),
        "Operating points, one threshold for all keywords, read off these same streams:",
        "",
        "| false alarms in speech | misses mixed | clean | 10 dB | p50 after the end | alarms in speech | in noise |",
        "| --- " * 7 + "|",
        *(point_row(name, found) for name, found in streams["operating_points"].items()),
        "",
        *prefix_lines(speeds),
        "",
        *stability_lines(mixed, speeds["balanced"]),
        *endpoint_lines(streams["endpoints"]),
        "",
        "![misses against false alarms](det.png)",
        "",
        "![decision time relative to the end of the word](decision_time.png)",
    ]


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def milliseconds(decision: Figures | None, key: str) -> str:
    return ", ".join(f"{1000 * value:+.0f}" for value in decision[key].values()) + " ms" if decision else "-"


def speed_row(speed: str, found: Figures) -> str:
    misses = " | ".join(percent(found[name]["misses"]) for name in ("mixed", "clean", "20 dB", "10 dB", "5 dB", "0 dB"))
    mixed = found["mixed"]
    times = " | ".join(milliseconds(mixed["decision"], key) for key in ("from_end_s", "from_start_s"))
    return f"| {speed} | {misses} | {mixed['doubles']} | {times} |"


def confirm_lines(confirm_ms: Mapping[str, float]) -> list[str]:
    """How long a score must stand at its threshold, where it must."""
    waits = ", ".join(f"`{speed}` for {ms:g} ms" for speed, ms in confirm_ms.items() if ms)
    told = f"A score must stay at its threshold before a word is heard: {waits}; counted in the times."
    return [told, ""] if waits else []


def alarm_table(speeds: Figures) -> list[str]:
    """False alarms of each keyword at each speed, in speech and in noise, beside its misses in mixed talk."""
    names = [(speed, where) for speed in speeds for where in ("speech", "noise") if where in speeds[speed]]
    labels = speeds["balanced"]["mixed"]["labels"]
    rows = [
        f"| {label} | "
        + " | ".join(f"{speeds[speed][where]['labels'][label]['false_alarms_per_hour']:g}" for speed, where in names)
        + f" | {percent(found['misses'])} | {milliseconds(found['decision'], 'from_end_s')} |"
        for label, found in labels.items()
    ]
    together = " | ".join(f"{speeds[speed][where]['false_alarms_per_hour']:g}" for speed, where in names)
    return [
        "| keyword | "
        + " | ".join(f"{speed}, {where}" for speed, where in names)
        + " | misses mixed, `balanced` | after the end |",
        "| --- " * (len(names) + 3) + "|",
        *rows,
        f"| together | {together} | {percent(speeds['balanced']['mixed']['misses'])} | |",
    ]


def interval_lines(speeds: Figures) -> list[str]:
    """How sure the false alarms an hour in running speech are."""
    sure = {speed: found["speech"]["by_recording"] for speed, found in speeds.items() if "speech" in found}
    told = "; ".join(
        f"`{speed}` {interval(one)} an hour, alarms in {one['with_alarms']} of {one['recordings']} recordings"
        for speed, one in sure.items()
    )
    return [f"In running speech, 95 % of draws of as many of its recordings: {told}.", ""] if told else []


def interval(found: Figures) -> str:
    low, high = found["interval"]
    return f"{low:g} to {high:g}"


def point_row(name: str, found: Figures) -> str:
    misses = " | ".join(percent(found[stream]["misses"]) for stream in ("mixed", "clean", "10 dB"))
    decision = found["mixed"]["decision"]
    median = f"{1000 * decision['from_end_s']['p50']:+.0f} ms" if decision else "-"
    speech, noise = (
        f"{found[where]['false_alarms_per_hour']:g}" if where in found else "-" for where in ("speech", "noise")
    )
    sure = f" ({interval(found['speech']['by_recording'])})" if "speech" in found else ""
    return f"| {name} | {misses} | {median} | {speech}{sure} | {noise} |"


def prefix_lines(speeds: Figures) -> list[str]:
    groups = {speed: found["prefixes"]["groups"] for speed, found in speeds.items()}
    lines = ["| fires a keyword | said | " + " | ".join(groups) + " |", "| --- " * (2 + len(groups)) + "|"]
    for name, found in groups["balanced"].items():
        lines.append(
            f"| {name} | {found['said']} | "
            + " | ".join(percent(some[name]["fired"]) for some in groups.values())
            + " |"
        )
    lines += ["", "What fires each keyword at `balanced`, mixed (times it did of times it was said):", ""]
    for label, words in speeds["balanced"]["prefixes"]["labels"].items():
        worst = list(words.items())[:FIRING]
        lines.append(f"- {label}: " + ", ".join(f"{word} {fired} of {said}" for word, (fired, said) in worst))
    return lines


def stability_lines(mixed: Figures, balanced: Figures) -> list[str]:
    first_last = balanced["first_and_last_misses"]
    lines = [
        f"- One stream of {mixed['hours']:g} h at `balanced`: misses {percent(first_last['first'])} in its first "
        f"{first_last['hours']:g} h, {percent(first_last['last'])} in its last."
    ]
    if "speech" in balanced:
        inside = balanced["speech"]["inside"]
        lines.append(
            f"- Keywords run together with other words, in running speech: {inside['found']} of {inside['said']}."
        )
    return lines


def endpoint_lines(endpoints: Figures) -> list[str]:
    """How well the found ends of words agree with times found otherwise."""
    return [
        f"- Word times, {way}: "
        + ", ".join(
            f"{side} within 60 ms in {percent(found['within_60_ms'])} (median {1000 * found['median_s']:+.0f} ms, "
            f"{found['words']} words)"
            for side, found in sides.items()
            if found["words"]
        )
        for way, sides in endpoints.items()
        if any(found["words"] for found in sides.values())
    ]


def plot(streams: Figures, folder: Path) -> None:
    """det.png and decision_time.png."""
    plot_det(streams["det"], folder / "det.png")
    plot_times(streams["speeds"], folder / "decision_time.png")


def plot_det(points: list[Figures], path: Path) -> None:
    """Misses against false alarms an hour: of all keywords in several streams, and of each in mixed talk."""
    from matplotlib.figure import Figure

    where = "speech" if "speech" in points[0] else "noise"
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    together, each = figure.subplots(1, 2, sharey=True)
    for name in ("clean", "10 dB", "mixed"):
        alarms = [max(0.1, point[where]["false_alarms_per_hour"]) for point in points]
        together.plot(alarms, [100 * point[name]["misses"] for point in points], marker=".", label=name)
    for label in points[0]["mixed"]["labels"]:
        alarms = [max(0.1, point[where]["labels"][label]["false_alarms_per_hour"]) for point in points]
        misses = [100 * (point["mixed"]["labels"][label]["misses"] or 0) for point in points]
        each.plot(alarms, misses, marker=".", label=label)
    together.set(title="all keywords together", ylabel="misses (%)", ylim=(0, 100))
    each.set(title="each keyword, mixed")
    for axes in (together, each):
        axes.set(xscale="log", xlabel=f"false alarms an hour, {where}; 0.1: none")
        axes.axvline(0.5, color="black", linewidth=0.8)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def plot_times(speeds: Figures, path: Path) -> None:
    """When each keyword is decided relative to its end: p10 to p90 and the median, a speed a colour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    labels = list(speeds["balanced"]["mixed"]["labels"])
    for row, (speed, color) in enumerate(zip(speeds, ("tab:green", "tab:blue", "tab:orange"), strict=False)):
        times = [speeds[speed]["mixed"]["labels"][label]["decision"] for label in labels]
        heard = [(i + 0.22 * (row - 1), time["from_end_s"]) for i, time in enumerate(times) if time]
        at = [place for place, _ in heard]
        axes.hlines(
            at, [1000 * time["p10"] for _, time in heard], [1000 * time["p90"] for _, time in heard], color=color
        )
        axes.plot([1000 * time["p50"] for _, time in heard], at, "o", color=color, label=speed)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(yticks=range(len(labels)), yticklabels=labels, xlabel="decision after the end of the word (ms), mixed")
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(speeds))
    figure.savefig(path, dpi=120)
