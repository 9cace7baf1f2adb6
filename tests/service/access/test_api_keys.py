from pathlib import Path

import pytest

from service.access.api_keys import ApiKeyError, ApiKeys
from service.settings import Settings

ONE, TWO, THREE = "first-key-0123456789", "second-key-0123456789", "third-key-0123456789"


def test_keys_of_environment_and_file_are_all_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the old one, until Friday\n{TWO}\n\n{THREE}\n")
    monkeypatch.setenv("RC_API_KEYS", f"{ONE}, ")
    monkeypatch.setenv("RC_API_KEYS_FILE", str(file))
    keys = ApiKeys(Settings())
    assert [keys.admit([key]) for key in (ONE, TWO, THREE)] == [ONE, TWO, THREE]
    assert keys.admit(["", ONE[:-1], ONE + "0", "é", ONE.upper()]) is None
    assert keys.admit(["another", TWO]) == TWO
    assert not ApiKeys(Settings(api_keys="", api_keys_file=None))


def test_a_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(ONE)
    keys = ApiKeys(Settings(api_keys_file=file))
    file.write_text(TWO)
    keys.reload()
    assert (keys.admit([ONE]), keys.admit([TWO])) == (None, TWO)
    for broken in ("", "# none\n", "short", "\xff"):
        file.write_text(broken, encoding="latin-1")
        with pytest.raises(ApiKeyError):
            keys.reload()
        assert (bool(keys), keys.admit([TWO])) == (True, TWO)


def test_what_is_no_key_is_refused_without_saying_it(tmp_path: Path) -> None:
    for wrong in ("tooshort", "sixteen or more with spaces", "0123456789abcdef=", "0123456789abcdeé"):
        with pytest.raises(ApiKeyError, match="api_keys: expected 16 or more .* not so number 2") as refused:
            ApiKeys(Settings(api_keys=f"{ONE},{wrong}"))
        assert wrong not in str(refused.value)
    assert ONE not in repr(Settings(api_keys=ONE))
