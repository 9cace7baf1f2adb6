"""Lines that rc-stream and rc-listen print for an event. Text from elsewhere never reaches the terminal unescaped."""

from collections.abc import Callable
from typing import TextIO

from clients.connection import Event
from clients.decisions import status_of
from service.commands.output import printable


def write_line(line: str, out: TextIO) -> None:
    """Print one line at once, control characters escaped: file names, labels and messages may hold anything."""
    print(printable(line), file=out, flush=True)


def event_line(event: Event) -> str:
    """The line of an event of any type."""
    return LINES[event["type"]](event)


def detection_line(event: Event) -> str:
    """`1.62 s  yes     0.97  (server 1.1 ms, model wait 52 ms)`; a `?` marks a label that crossed no threshold.

    With early detections `0.97  early`, `0.99  confirmed` or `0.12  retracted: fell`.
    """
    label = event["label"] if event.get("crossed", True) else event["label"] + "?"
    status = STATUSES[status_of(event)].format(**event)
    waits = [f"spoken {event['lag_ms']:.0f} ms ago"] if "lag_ms" in event else []
    if latency := event.get("latency"):  # none of what the client itself retracts
        waits += [f"server {latency['server_ms']:.1f} ms", f"model wait {latency['algorithmic_ms']:.0f} ms"]
    return f"{event['audio_time_s']:6.2f} s  {label:<10} {event['score']:.2f}  {status}({', '.join(waits)})"


def summary_line(event: Event) -> str:
    """`12.50 s of audio, 8 detections, server p50 0.9 ms, p95 2.1 ms, 1.20 s dropped, 1 reconnects`."""
    percentiles = ", ".join(f"{name[:-3]} {ms:.1f} ms" for name, ms in event["latency"].items() if ms is not None)
    server = f", server {percentiles}" if percentiles else ""
    lost = f", {event['dropped_s']:.2f} s dropped" if event.get("dropped_s") else ""
    reconnects = f", {event['reconnects']} reconnects" if event.get("reconnects") else ""
    undecided = f", {event['lost_s']:.2f} s not decided on" if event.get("lost_s") else ""
    return f"{event['audio_s']:.2f} s of audio, {event['detections']} detections{server}{lost}{reconnects}{undecided}"


def dropped_line(event: Event) -> str:
    """`dropped  1.20 s of audio`."""
    return "dropped  some audio, by the device" if event["by_device"] else f"dropped  {event['audio_s']:.2f} s of audio"


def reconnected_line(event: Event) -> str:
    """`reconnected  0.34 s of audio were not decided on, 1.34 s sent again, 0.00 s lost`."""
    undecided, resent, lost = (event[f"{name}_s"] for name in ("undecided", "resent", "lost"))
    return f"reconnected  {undecided:.2f} s of audio were not decided on, {resent:.2f} s sent again, {lost:.2f} s lost"


def error_line(event: Event) -> str:
    """`error  bad_audio: expected ..., got ...`."""
    return f"error  {event['code']}: {event['message']}"


STATUSES = {
    "final": "",
    "early": "early      ",
    "confirmed": "confirmed  ",
    "retracted": "retracted: {reason}  ",
}  # what the line of a decision says between its score and its latency
LINES: dict[str, Callable[[Event], str]] = {
    "detection": detection_line,
    "confirmed": detection_line,
    "retracted": detection_line,
    "summary": summary_line,
    "dropped": dropped_line,
    "reconnected": reconnected_line,
    "error": error_line,
}
