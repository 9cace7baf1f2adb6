from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.access.api_keys import ApiKeyError, ApiKeys
from service.settings import Settings

ONE, TWO, THREE = "first-key-0123456789", "second-key-0123456789", "third-key-0123456789"


def settings(**values: Any) -> Settings:
    """As from text."""
    return Settings(**values)


def test_keys_of_environment_and_file_are_all_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the old one, until Friday\n{TWO}\n\n{THREE}\n")
    monkeypatch.setenv("RC_API_KEYS", f"{ONE}, ")
    monkeypatch.setenv("RC_API_KEYS_FILE", str(file))
    keys = ApiKeys(Settings())
    assert [keys.find([key]) for key in (ONE, TWO, THREE)] == [ONE, TWO, THREE]
    assert keys.find(["", ONE[:-1], ONE + "0", "é", ONE.upper()]) is None
    assert keys.find(["another", TWO]) == TWO
    assert not ApiKeys(settings(api_keys="", api_keys_file=None))


def test_a_file_is_read_again_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(ONE)
    keys = ApiKeys(Settings(api_keys_file=file))
    file.write_text(TWO)
    keys.replace(keys.read())
    assert (keys.find([ONE]), keys.find([TWO])) == (None, TWO)
    for broken in ("", "# none\n", "short", "\xff"):
        file.write_text(broken, encoding="latin-1")
        with pytest.raises(ApiKeyError, match=f"{file}: expected"):
            keys.read()
        assert (bool(keys), keys.find([TWO])) == (True, TWO)


def test_an_invalid_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for wrong in ("tooshort", "sixteen or more with spaces", "0123456789abcdef=", "0123456789abcdeé"):
        with pytest.raises(ValidationError, match=r"expected 16 or more characters .* key 2 is invalid") as refused:
            settings(api_keys=f"{ONE},{wrong}")
        assert wrong not in str(refused.value)
        assert ONE not in str(refused.value)
        file.write_text(f"{ONE}\n{wrong}\n")
        with pytest.raises(ApiKeyError, match=r"expected 16 or more characters .* key 2 is invalid") as invalid:
            ApiKeys(Settings(api_keys_file=file))
        assert wrong not in str(invalid.value)
    assert ONE not in repr(settings(api_keys=ONE))
