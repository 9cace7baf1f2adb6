import pytest

from clients.connection import Event
from clients.decisions import is_final, status_of


@pytest.mark.parametrize(
    ("event", "status", "final"),
    [
        ({"type": "detection"}, "final", True),
        ({"type": "detection", "status": "early"}, "early", False),
        ({"type": "confirmed"}, "confirmed", True),
        ({"type": "retracted", "reason": "fell"}, "retracted", False),
    ],
)
def test_the_status_of_a_decision(event: Event, status: str, final: bool) -> None:
    assert (status_of(event), is_final(event)) == (status, final)


def test_other_events_are_no_final_decisions() -> None:
    assert not any(is_final({"type": kind}) for kind in ("ready", "scores", "summary", "error"))
