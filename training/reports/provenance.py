"""Where figures come from: when, with what command and on what machine they were measured."""

from dataclasses import dataclass
from datetime import UTC, datetime

from service.machine import this_machine
from training.records import Record


@dataclass(frozen=True)
class Provenance(Record):
    date: str  # day of the measurement, UTC
    command: str
    machine: str
    seed: int

    def __str__(self) -> str:
        return f"`{self.command}`, {self.date}, {self.machine}"


def provenance(command: str, seed: int) -> Provenance:
    """Of a measurement that is made now, here."""
    return Provenance(datetime.now(UTC).strftime("%Y-%m-%d"), command, str(this_machine()), seed)
