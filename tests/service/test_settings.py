"""Every setting is told: in --help, and what it may be."""

import pytest
from pydantic import ValidationError

from service.commands.serve import NO_FLAG, SHORT, parse
from service.settings import Settings


def test_help_says_what_each_setting_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if name in NO_FLAG:
            assert f"RC_{name.upper()}" in said
        else:
            assert SHORT.get(name, "--" + name.replace("_", "-")) + " " in said
            assert field.description in said


def test_every_flag_sets_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(["--max-files", "7", "--max-file-s", "2.5", "--log", "json"]) == Settings(
        max_files=7, max_file_s=2.5, log="json"
    )
    monkeypatch.setenv("RC_MAX_STREAM_S", "5")
    assert parse([]).max_stream_s == 5


def test_wrong_values_are_refused() -> None:
    for wrong in ({"max_files": 0}, {"max_file_s": 0}, {"port": 70000}, {"log": "xml"}, {"api_keys_file": "nowhere"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Settings(**wrong)
    with pytest.raises(ValidationError, match="expected a certificate for tls_key, got none"):
        Settings(tls_key=__file__)
