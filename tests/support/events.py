"""Picks events by their kind."""

from collections.abc import Iterable

from service.spotting.events import Detection, Event


def detections(events: Iterable[Event]) -> list[Detection]:
    """The detections; raises AssertionError for any other event."""
    events = list(events)
    assert all(isinstance(event, Detection) for event in events), events
    return [event for event in events if isinstance(event, Detection)]
