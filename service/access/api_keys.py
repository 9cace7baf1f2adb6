"""API keys: where they come from, and whether an offered one is among them. No message has a key in it."""

import hmac
from collections.abc import Iterable
from pathlib import Path

from pydantic import SecretStr

from service.settings import Settings, parse_api_keys


class ApiKeyError(ValueError):
    """A file of keys is wrong; the message says where, what was expected and what came."""


class ApiKeys:
    """The keys of the settings and of their file. False when there are none: then no request needs one.

    Raises ApiKeyError.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.replace(self.read())

    def read(self) -> frozenset[SecretStr]:
        """The keys as they are now. Raises ApiKeyError."""
        file = self._settings.api_keys_file
        return self._settings.api_keys | (_read_file(file) if file else frozenset())

    def replace(self, keys: frozenset[SecretStr]) -> None:
        """Use these keys from now on."""
        self._keys = [key.get_secret_value().encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, offered: Iterable[str]) -> str | None:
        """The first offered key that is valid. Takes as long for a key that is nearly right."""
        return next((key for key in offered if self._is_valid(key.encode())), None)

    def _is_valid(self, offered: bytes) -> bool:
        matches = [hmac.compare_digest(offered, key) for key in self._keys]  # all of them, whichever matches
        return any(matches)


def _read_file(file: Path) -> frozenset[SecretStr]:
    try:
        lines = file.read_text().splitlines()
        keys = parse_api_keys(line for line in lines if not line.startswith("#"))
    except (OSError, UnicodeDecodeError) as error:
        raise ApiKeyError(f"{file}: expected a file of keys, got: {type(error).__name__}") from None
    except ValueError as error:
        raise ApiKeyError(f"{file}: {error}") from None
    if not keys:  # an empty file must not switch authentication off
        raise ApiKeyError(f"{file}: expected at least one key, one per line, got none")
    return keys
