"""The README cannot drift: its files exist and are all of them, its options are in --help, its Python runs."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import soundfile

from clients.commands.listen import main as rc_listen
from clients.commands.stream import main as rc_stream
from service.commands.classify import main as rc_classify
from service.commands.serve import main as rc_serve
from service.spotting.config import StreamConfig
from service.spotting.model import Metadata
from tests.support.paths import ROOT
from tests.support.server import Running
from training.cli import main as rc_train

README = (ROOT / "README.md").read_text()
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "rc-classify": rc_classify,
    "rc-listen": rc_listen,
    "rc-serve": rc_serve,
    "rc-stream": rc_stream,
    "rc-train": rc_train,
}


def section(title: str) -> str:
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert "docs/protocol.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


def command_lines() -> list[str]:
    """Every line of the README's shell blocks that calls one of our commands, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("rc-")]


def help_of(command: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        COMMANDS[command]([*arguments, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("line", command_lines())
def test_options_are_those_of_the_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *words = line.split()
    said = help_of(command, capsys, *(words[:1] if command == "rc-train" else []))
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b(?!-)", said), f"{option} is no option of {command}"


def test_every_command_has_an_example() -> None:
    assert {line.split()[0] for line in command_lines()} == set(COMMANDS)
    assert {line.split()[1] for line in command_lines() if line.startswith("rc-train")} == {
        "download",
        "speech",
        "export",
        "evaluate",
        "compare",
        "sequence-spotting",
        "two-sequence",
        "temporal-mnist",
        "report",
    }


def test_settings_and_metadata_are_all_named() -> None:
    assert [name for name in StreamConfig.model_fields if f"`{name}`" not in section("Protocol")] == []
    assert [field.name for field in fields(Metadata) if f"`{field.name}`" not in section("The exported model")] == []


def test_its_python_runs(
    server: Running, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    stream, blocking, spotter = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    duration = soundfile.info(ROOT / "clients" / "demo" / "demo.flac").duration
    for code in (stream, blocking):
        exec(code.replace("127.0.0.1:8000", server.address), {})  # noqa: S102
        assert f"'type': 'summary', 'audio_s': {duration}" in capsys.readouterr().out
    exec(spotter.replace('"models/speech-commands-rc"', repr(str(models_dir / "tones"))), {})  # noqa: S102
    assert re.fullmatch(r"((yes|no) \d+\.\d+\n)*", capsys.readouterr().out)
