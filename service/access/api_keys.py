"""API keys: where they stand, and whether one that came is among them. No message has a key in it."""

import hmac
import re
from collections.abc import Iterable
from pathlib import Path

from service.settings import Settings

SHAPE = re.compile(r"[A-Za-z0-9._~-]{16,}")  # fits into a URL and a sub-protocol, and is not guessed


class ApiKeyError(ValueError):
    """These are no keys; the message says where, what was expected and what came."""


class ApiKeys:
    """The keys of the environment and the file. False when there are none: then everyone may come."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reload()

    def reload(self) -> None:
        """Read them again. Raises BadKeys, and keeps those it had."""
        keys = _checked("api_keys", self._settings.api_keys.get_secret_value().split(","))
        if file := self._settings.api_keys_file:
            keys += _of_file(file)
        self._keys = keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def admit(self, offered: Iterable[str]) -> str | None:
        """The first of these that is one of the keys. Takes as long for a key that is nearly right."""
        return next((one for one in offered if self._has(one.encode())), None)

    def _has(self, offered: bytes) -> bool:
        same = [hmac.compare_digest(offered, key) for key in self._keys]  # all of them, whichever it is
        return any(same)


def _of_file(file: Path) -> list[bytes]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ApiKeyError(f"{file}: expected a file of keys, got: {type(error).__name__}") from None
    keys = _checked(str(file), (line for line in lines if not line.startswith("#")))
    if not keys:  # never: let everyone in
        raise ApiKeyError(f"{file}: expected a key a line, got none")
    return keys


def _checked(where: str, values: Iterable[str]) -> list[bytes]:
    keys = [value.strip() for value in values if value.strip()]
    for number, key in enumerate(keys, 1):
        if not SHAPE.fullmatch(key):
            raise ApiKeyError(f"{where}: expected 16 or more of A-Z a-z 0-9 . _ ~ - a key, not so number {number}")
    return [key.encode() for key in keys]
