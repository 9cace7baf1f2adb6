"""Every setting is in --help, and wrong values are explained in one line."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.bundled import PACKAGED_MODELS
from service.commands.serve import FLAGS, parse
from service.settings import SECRET, Settings
from tests.support.tone_model import write_model


def test_help_describes_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if name in SECRET:
            assert f"RC_{name.upper()}" in text
        else:
            assert FLAGS.get(name, "--" + name.replace("_", "-")) + " " in text
            assert field.description in text


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
        Settings(tls_key=Path(__file__))


def origins(text: str) -> frozenset[str]:
    return parse(["--allowed-origins", text]).allowed_origins


def test_origins_are_a_set() -> None:
    text = (
        " https://friend.example,http://10.0.0.5:8080, HTTPS://Other.Example ,http://[::1]:8000,chrome-extension://ab"
    )
    assert origins(text) == {
        "https://friend.example",
        "http://10.0.0.5:8080",
        "https://other.example",
        "http://[::1]:8000",
        "chrome-extension://ab",
    }
    assert origins("") == frozenset()
    assert origins("*") == {"*"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://friend.example/",
        "https://friend.example/page",
        "friend.example",
        "https://",
        "https://*.friend.example",
        "https://friend.example:443",
        "http://friend.example:80",
        "https://user@friend.example",
        "https://fr end.example",
        "https://fr\u00e9nd.example",
        "http://[::1",
        "**",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--allowed-origins", f"https://friend.example,{origin}"])
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "rc-serve: allowed_origins: expected origins as browsers send them, like https://example.org"
    )
    assert line.endswith(f"got {origin!r}")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--port", "99999"], "port: expected less than or equal to 65535, got '99999'"),
        (["--port", "eighty"], "port: expected a valid integer, unable to parse string as an integer, got 'eighty'"),
        (["--log", "xml"], "log: expected 'text' or 'json', got 'xml'"),
        (
            ["--wyoming", "tcp://127.0.0.1:99999"],
            "wyoming: expected tcp://HOST:PORT with a port up to 65535, got 'tcp://127.0.0.1:99999'",
        ),
        (
            ["--wyoming", "tcp://0.0.0.0:8000"],
            "wyoming: expected another port than 8000, which is for HTTP, got 'tcp://0.0.0.0:8000'",
        ),
        (["--tls-cert", "nowhere.pem"], "tls_cert: expected a file, got 'nowhere.pem'"),
        (["--root-path", "kws/"], "root_path: expected a path like /kws, without a slash at the end, got 'kws/'"),
        (["--port", "-1", "--workers", "0"], None),
    ],
)
def test_wrong_flags_are_one_line_and_exit_status_1(
    flags: list[str], line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(flags)
    assert ended.value.code == 1
    (shown,) = capsys.readouterr().err.splitlines()
    if line:
        assert shown == f"rc-serve: {line}"
    else:
        assert "port: " in shown
        assert "; workers: " in shown


def test_a_wrong_key_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RC_API_KEYS", "much-too,short-ones")
    with pytest.raises(SystemExit):
        parse([])
    (line,) = capsys.readouterr().err.splitlines()
    assert "key 1 is invalid" in line
    assert "much-too" not in line


def test_models_are_those_of_the_working_directory_or_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert Settings().models_dir == PACKAGED_MODELS
    write_model(tmp_path / "models")
    assert Settings().models_dir == Path("models")
