"""Decisions among the events of a server: detections, and what becomes of early ones."""

from clients.connection import Event

DECISIONS = ("detection", "confirmed", "retracted")  # types of events


def status_of(event: Event) -> str:
    """What a decision is.

    Args:
        event: one of the types DECISIONS.

    Returns:
        `final`: a detection of a stream without early detections; `early`: one that will be `confirmed` or `retracted`.
    """
    status: str = event.get("status", "final") if event["type"] == "detection" else event["type"]
    return status


def is_final(event: Event) -> bool:
    """Whether an event, of any type, is a detection that stays: a `confirmed`, or a `detection` that is not early."""
    return event["type"] in DECISIONS and status_of(event) in ("final", "confirmed")
