"""What is installed where: no torch to serve, and the container gets all that serving needs."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.settings import Settings
from tests.support.paths import ROOT
from tests.support.server import Running

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

SERVE = "import service.server.app, service.commands.serve, service.commands.classify, service.spotting.spotter"
STREAM = "import clients.commands.stream, clients.commands.listen, clients.demo.__main__, clients.demo.synthesize"


TRAIN = "import service.spotting.audio, training.commands.main"
RAY = {"ray", "pyarrow", "pandas"}


@pytest.mark.parametrize(
    ("imports", "strangers"),
    [
        (SERVE, {"torch", "onnx", "librosa", "matplotlib", "rich", "wyoming", "training", "clients", *RAY}),
        (STREAM, {"torch", "training", "sounddevice", *RAY}),
        (TRAIN, RAY),
    ],
)
def test_the_base_install_needs_no_extra(imports: str, strangers: set[str]) -> None:
    code = f"import sys; {imports}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "service.spotting.audio" in loaded.stdout.split()
    assert strangers & set(loaded.stdout.split()) == set()


def test_make_asks_for_the_python_that_the_project_asks_for() -> None:
    (asked,) = re.findall(r"version_info < \((.*?)\)", (ROOT / "Makefile").read_text())
    assert PROJECT["requires-python"] == ">=" + asked.replace(", ", ".")


def test_the_container_gets_what_dockerignore_lets_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {path for line in copied for path in line.split()} == set(allowed)
    assert all((ROOT / path).exists() for path in allowed)


def health(port: str, **environment: str) -> int:
    """The exit status of the Dockerfile's HEALTHCHECK for a server on that port."""
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    (check,) = re.findall(r"HEALTHCHECK .*? CMD (.*)", dockerfile)
    _, *arguments = json.loads(check)
    return subprocess.run(
        [sys.executable, *arguments], env={"RC_PORT": port, **environment}, capture_output=True
    ).returncode


def test_the_container_knows_its_health(server: Running) -> None:
    port = server.address.rpartition(":")[2]
    assert health(port) == 0
    assert health(port, http_proxy="http://127.0.0.1:9") == 0  # Docker sets it in a container where the host has one
    assert health("1") != 0


def test_the_container_is_not_root_and_compose_lets_it_write_nothing() -> None:
    assert "\nUSER 65534:65534\n" in (ROOT / "Dockerfile").read_text()
    compose = (ROOT / "deploy" / "docker-compose.yml").read_text()
    assert "read_only: true" in compose
    settings = {f"RC_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"RC_\w+", compose)) <= settings


def test_a_wheel_serves_and_classifies_with_the_bundled_model(tmp_path: Path) -> None:
    """Built from a copy of the sources, and installed beside this environment's packages."""
    source, python = tmp_path / "source", tmp_path / "venv" / "bin" / "python"
    copy_sources(source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    no_network = ["--quiet", "--no-deps", "--no-index"]
    run([*pip, "wheel", *no_network, "--no-build-isolation", "--wheel-dir", tmp_path, source])
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"])
    (wheel,) = tmp_path.glob("*.whl")
    run([*pip, "--python", python, "install", *no_network, wheel])
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    # behind the wheel's own: an editable install of this checkout must not be the one that is found
    packages = [path for path in sys.path if path.endswith("-packages") and Path(path).is_dir()]
    (site / "shared.pth").write_text("\n".join(f"import site; site.addsitedir({path!r})" for path in packages))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = run([python, "-c", "import service; print(service.__file__)"], elsewhere)
    assert where.startswith(str(site))
    demo = ROOT / "clients" / "demo" / "demo.flac"
    result = json.loads(run([python, "-m", "service.commands.classify", "--json", demo], elsewhere))
    assert result["label"] == "go"
    served = run([python, "-c", "from service.settings import Settings; print(Settings().models_dir)"], elsewhere)
    assert Path(served.strip()) == site / "service" / "models"
    for package in ("service", "clients", "training"):
        assert (site / package / "py.typed").is_file()


def copy_sources(to: Path) -> None:
    """What a wheel is built from, without what training leaves."""
    for name in ("service", "clients", "training", "models"):
        ignored = shutil.ignore_patterns("__pycache__", "*.pt", "*.egg-info")
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)


def run(command: Sequence[object], folder: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
