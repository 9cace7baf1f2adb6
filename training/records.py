"""Frozen dataclasses of measurements as JSON files and back. Knows nothing of what was measured."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from training.errors import TrainingError


class RecordError(TrainingError):
    """A JSON file is not the record that was expected; the message names the first field that is wrong."""


class Record:
    """Base of dataclasses that are written as JSON. Fields with their default, which is None, are left out."""

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json", exclude_defaults=True)
        return plain

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Raises RecordError for anything else than what `to_json` gives; unknown fields are ignored."""
        try:
            record: Self = _adapter(cls).validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise RecordError(f"{cls.__name__}: {place}: {first['msg']}, got {first['input']!r:.60}") from error
        return record

    def write(self, path: Path) -> None:
        """Write the file, making its folder where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises RecordError where the file is not the JSON of this record."""
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (json.JSONDecodeError, UnicodeDecodeError, RecordError) as error:
            raise RecordError(f"{path}: {error}") from error


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)  # one per class, made once
