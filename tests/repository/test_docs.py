"""Documents cannot drift: links lead somewhere, options are in --help, settings are described, the Python runs."""

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
from service.spotting.metadata import Metadata
from tests.support.code_map import MARKS, PAGE, code_map
from tests.support.paths import ROOT
from tests.support.server import Running
from training.commands.main import COMMANDS as TRAIN_COMMANDS
from training.commands.main import main as rc_train

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "models").rglob("*.md"))]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]  # whose commands a reader types
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "rc-classify": rc_classify,
    "rc-listen": rc_listen,
    "rc-serve": rc_serve,
    "rc-stream": rc_stream,
    "rc-train": rc_train,
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if not re.match(r"https?://", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_readme_links_to_every_page_of_the_documentation() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = {named(path) for path in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    assert {page for page in pages if f"({page})" not in readme} == set()
    assert len(readme.splitlines()) <= 130


def test_the_code_map_is_that_of_the_modules() -> None:
    """`python -m tests.support.code_map` writes it."""
    text = PAGE.read_text()
    assert text.split(MARKS[0])[1].split(MARKS[1])[0].strip() == code_map()
    assert "| |" not in code_map().replace("/ | |", "")


def command_lines() -> list[str]:
    """Every line of a shell block in the guides that calls one of the commands, without its comment."""
    blocks = [block for page in GUIDES for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)]
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.split(" ")[0] in COMMANDS})


def help_of(command: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exited:
        COMMANDS[command]([*arguments, "--help"])
    assert exited.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("line", command_lines())
def test_options_are_those_of_the_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *words = line.split()
    text = help_of(command, capsys, *(words[:1] if command == "rc-train" else []))
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b(?!-)", text), f"{option} is not an option of {command}"


def test_every_command_has_an_example() -> None:
    assert {line.split()[0] for line in command_lines()} == set(COMMANDS)
    guides = " ".join(page.read_text() for page in GUIDES if page.stem not in ("architecture", "experiment-log"))
    assert set(re.findall(r"rc-train ([a-z0-9-]+)", guides)) >= set(TRAIN_COMMANDS)


def test_settings_and_metadata_are_all_described() -> None:
    protocol, model_format = ((ROOT / "docs" / name).read_text() for name in ("protocol.md", "model-format.md"))
    assert [name for name in StreamConfig.model_fields if f"`{name}`" not in protocol] == []
    assert [field.name for field in fields(Metadata) if f"`{field.name}`" not in model_format] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "python.md"], ids=named)
def test_its_python_runs(
    page: Path,
    server: Running,
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    *streams, spotter = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(streams) == (1 if page.name == "README.md" else 5)
    duration = soundfile.info(ROOT / "clients" / "demo" / "demo.flac").duration
    for code in streams:
        exec(code.replace("127.0.0.1:8000", server.address), {})  # noqa: S102
        (audio_s, *_) = re.findall(r"'type': 'summary'.*?'audio_s': ([\d.]+)", capsys.readouterr().out)
        assert float(audio_s) == pytest.approx(duration, abs=1e-5)
    exec(spotter.replace('"models/speech-commands-rc"', repr(str(models_dir / "tones"))), {})  # noqa: S102
    assert re.fullmatch(r"((yes|no) \d+\.\d+\n)*", capsys.readouterr().out)
