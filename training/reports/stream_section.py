"""The section of a model card on continuous audio. Every number comes from the report that is passed in."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from training.data.endpoint_agreement import EndpointSummary
from training.evaluation.stream_metrics import (
    DetectionMetrics,
    DetectionTimes,
    RecordingSpread,
    SpeakerSpread,
)
from training.evaluation.stream_report import StreamMeasurement, StreamOperatingPoint, StreamReport
from training.evaluation.streams import ALONE, ALONE_S, LEVELS, TALK
from training.reports.early_section import early_lines
from training.reports.markdown import markdown_table, percent, signed_milliseconds
from training.reports.stream_plots import plot_det, plot_times

MAX_FIRING = 4  # words per label in the list of what fires it
Speeds = Mapping[str, StreamMeasurement]


def plot(report: StreamReport, folder: Path) -> None:
    """det.png and decision_time.png."""
    plot_det(report.det, folder / "det.png")
    plot_times(report.speeds, folder / "decision_time.png")


def section(report: StreamReport) -> list[str]:
    """Lines of Markdown."""
    speeds = report.speeds
    balanced = speeds["balanced"]
    return [
        "",
        "## Continuous audio",
        "",
        composition(report, balanced.streams["mixed"]),
        "",
        *markdown_table(
            (
                *("speed", "misses mixed", "clean", "20 dB", "10 dB", "5 dB", "0 dB", "duplicates"),
                *("p10, p50, p90 after the end", "after the beginning"),
            ),
            (speed_row(speed, measured) for speed, measured in speeds.items()),
        ),
        "",
        *talk_lines(speeds),
        *confirm_lines(report.confirm_ms),
        "False alarms per hour, by keyword. In running speech, keywords that are really spoken are not false alarms; "
        "words that sound the same (know, write) are.",
        "",
        *alarm_table(speeds),
        "",
        *interval_lines(speeds),
        "Operating points, one threshold for all keywords, chosen on these same streams:",
        "",
        *markdown_table(
            (
                *("false alarms in speech", "misses mixed", "clean", "10 dB", "p50 after the end"),
                *("alarms in speech", "in noise"),
            ),
            (point_row(name, point) for name, point in report.operating_points.items()),
        ),
        "",
        *early_lines(report.early),
        *prefix_lines(speeds),
        "",
        *stability_lines(balanced),
        *endpoint_lines(report.endpoints),
        "",
        "![misses against false alarms](det.png)",
        "",
        "![decision time relative to the end of the word](decision_time.png)",
    ]


def composition(report: StreamReport, mixed: DetectionMetrics) -> str:
    data = report.data
    return (
        f"Streams of {mixed.hours:g} h composed from the {data.split} split: {mixed.keywords} keywords (of "
        f"{data.keyword_clips} clips) between other words (of {data.other_clips}), prefixes of keywords and "
        f"excerpts of running speech ({data.speech_minutes:g} min by {data.speech_speakers} speakers); "
        f"{data.noise_minutes:g} min of noise and music, {data.rooms} rooms. A detection from the beginning of its "
        "word to 0.5 s after its end is a hit. `clean` and the columns of SNR are without rooms; `mixed` has rooms, "
        "microphones and 5 to 30 dB of SNR."
    )


def speed_row(speed: str, measured: StreamMeasurement) -> Sequence[object]:
    streams = measured.streams
    misses = [percent(streams[name].misses) for name in ("mixed", "clean", "20 dB", "10 dB", "5 dB", "0 dB")]
    mixed = streams["mixed"]
    return speed, *misses, mixed.duplicates, after_end(mixed.decision), after_start(mixed.decision)


def after_end(times: DetectionTimes | None) -> str:
    return signed_milliseconds(vars(times.from_end_s).values()) if times else "-"


def after_start(times: DetectionTimes | None) -> str:
    return signed_milliseconds(vars(times.from_start_s).values()) if times else "-"


def talk_lines(speeds: Speeds) -> list[str]:
    """Misses with other people in the background, alone and at different levels, where these were measured."""
    names = [name for name in (*TALK, ALONE, *LEVELS) if name in speeds["balanced"].streams]
    if not names:
        return []
    return [
        "Misses with one person (talker) or three to seven (babble) talking in the background, who talk in no other "
        f"stream; of isolated words, with {ALONE_S / 2:g} s of room before and after; and by the level of the words:",
        "",
        *markdown_table(
            ("speed", *names),
            (
                (speed, *(percent(measured.streams[name].misses) for name in names))
                for speed, measured in speeds.items()
            ),
        ),
        "",
    ]


def confirm_lines(confirm_ms: Mapping[str, float]) -> list[str]:
    """How long a score must stay at its threshold, where it must."""
    waits = ", ".join(f"`{speed}` for {ms:g} ms" for speed, ms in confirm_ms.items() if ms)
    if not waits:
        return []
    return [f"A score must stay at its threshold before a word is detected: {waits}; included in the times.", ""]


def alarm_table(speeds: Speeds) -> list[str]:
    """False alarms of each keyword at each speed, in speech and in noise, beside its misses in mixed utterances."""
    names = [(speed, where) for speed in speeds for where in ("speech", "noise") if where in speeds[speed].streams]
    mixed = speeds["balanced"].streams["mixed"]

    def rows() -> Iterator[Sequence[object]]:
        for label, keyword in mixed.labels.items():
            alarms = [f"{speeds[speed].streams[where].labels[label].false_alarms_per_hour:g}" for speed, where in names]
            yield label, *alarms, percent(keyword.misses), after_end(keyword.decision)
        together = [f"{speeds[speed].streams[where].false_alarms_per_hour:g}" for speed, where in names]
        yield "together", *together, percent(mixed.misses), ""

    columns = [f"{speed}, {where}" for speed, where in names]
    return markdown_table(("keyword", *columns, "misses mixed, `balanced`", "after the end"), rows())


def interval_lines(speeds: Speeds) -> list[str]:
    """How certain the false alarms per hour in running speech are."""
    streams = {speed: measured.streams["speech"] for speed, measured in speeds.items() if "speech" in measured.streams}
    recordings = "; ".join(
        f"`{speed}` {interval(spread)} per hour, alarms in {spread.with_alarms} of {spread.recordings} recordings"
        for speed, metrics in streams.items()
        if (spread := metrics.by_recording)
    )
    speakers = "; ".join(
        f"`{speed}` {interval(who)} per hour, alarms by {who.with_alarms} of {who.speakers} speakers"
        for speed, metrics in streams.items()
        if (who := metrics.by_speaker)
    )
    lines = [f"In running speech, 95 % of draws of as many of its recordings: {recordings}."] if recordings else []
    lines += [f"Of as many of its speakers: {speakers}."] if speakers else []
    return [*lines, ""] if lines else []


def interval(spread: RecordingSpread | SpeakerSpread) -> str:
    low, high = spread.interval
    return f"{low:g} to {high:g}"


def point_row(name: str, point: StreamOperatingPoint) -> Sequence[object]:
    streams = point.measured.streams
    misses = [percent(streams[stream].misses) for stream in ("mixed", "clean", "10 dB")]
    decision = streams["mixed"].decision
    median = f"{1000 * decision.from_end_s.p50:+.0f} ms" if decision else "-"
    speech, noise = (
        f"{streams[where].false_alarms_per_hour:g}" if where in streams else "-" for where in ("speech", "noise")
    )
    spread = streams["speech"].by_recording if "speech" in streams else None
    return name, *misses, median, speech + (f" ({interval(spread)})" if spread else ""), noise


def prefix_lines(speeds: Speeds) -> list[str]:
    """What fires keywords without being one, at each speed and, by label, at `balanced`."""
    prefixes = {speed: measured.prefixes for speed, measured in speeds.items() if measured.prefixes}
    balanced = prefixes["balanced"]
    lines = markdown_table(
        ("fires a keyword", "spoken", *prefixes),
        (
            (name, group.spoken, *(percent(of_speed.groups[name].fired) for of_speed in prefixes.values()))
            for name, group in balanced.groups.items()
        ),
    )
    lines += ["", "What fires each keyword at `balanced`, mixed (times it did of times it was spoken):", ""]
    for label, words in balanced.labels.items():
        most = list(words.items())[:MAX_FIRING]
        lines.append(f"- {label}: " + ", ".join(f"{word} {fired} of {spoken}" for word, (fired, spoken) in most))
    return lines


def stability_lines(balanced: StreamMeasurement) -> list[str]:
    over_time, lines = balanced.first_and_last_misses, []
    if over_time:
        lines.append(
            f"- One stream of {balanced.streams['mixed'].hours:g} h at `balanced`: misses {percent(over_time.first)} "
            f"in its first {over_time.hours:g} h, {percent(over_time.last)} in its last."
        )
    if "speech" in balanced.streams:
        embedded = balanced.streams["speech"].embedded
        lines.append(
            f"- Keywords run together with other words, in running speech: {embedded.detected} of {embedded.spoken}."
        )
    return lines


def endpoint_lines(endpoints: Mapping[str, Mapping[str, EndpointSummary]]) -> list[str]:
    """How well the measured ends of words agree with times from another aligner."""
    lines = []
    for way, sides in endpoints.items():
        known = [
            f"{side} within 60 ms in {percent(errors.within_60_ms)} (median {1000 * (errors.median_s or 0):+.0f} ms, "
            f"{errors.words} words)"
            for side, errors in sides.items()
            if errors.words
        ]
        if known:
            lines.append(f"- Word times, {way}: {', '.join(known)}")
    return lines
