"""rc-classify --ray: the rows of rc-classify, whoever dies on the way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from service.commands.archive import Archive, Job
from service.commands.classify import main
from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.ray_processes import ray_workers, wait_for
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

REASON = "needs the extra ray: pip install '.[ray]'"
pytest.importorskip("ray", reason=REASON)
pq = pytest.importorskip("pyarrow.parquet", reason=REASON)


def rows_of(archive: Archive) -> list[dict[str, Any]]:
    """All rows, in order of the files, without the columns that have no value."""
    rows = [row for name in archive.partitions() for row in pq.read_table(archive.results(name)).to_pylist()]
    return [{column: value for column, value in row.items() if value is not None} for row in rows]


def as_row(line: str) -> dict[str, Any]:
    """A line of rc-classify --json."""
    result: dict[str, Any] = json.loads(line)
    return {**result, "error": result["error"]["message"]} if "error" in result else result


def test_the_rows_of_rc_classify_after_a_killed_worker_and_an_interruption(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads a pipe waits, so that the worker of its partition is killed at its work."""
    files = [tmp_path / f"{number}.wav" for number in range(12)]
    for number, file in enumerate(files):
        soundfile.write(file, synthesize("yes" if number % 2 else "no", seed=number), RATE)
    files[1].write_bytes(b"hello")
    files[2].unlink()
    for number in (5, 9):
        os.mkfifo(tmp_path / "pipe")
        os.replace(files[number], tmp_path / f"later-{number}.wav")
        os.replace(tmp_path / "pipe", files[number])

    (tmp_path / "list.txt").write_text("\n".join(map(str, files)))
    archive = Archive(tmp_path / "out")
    archive.open(Job((str(tmp_path / "list.txt"),), Model(models_dir / "tones").sha256, "fast", None), 3)
    command = [sys.executable, "-m", "service.commands.classify", "--ray", "local", "--out", str(archive.folder)]
    command += [str(tmp_path / "list.txt"), "--model", str(models_dir / "tones"), "--speed", "fast"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        wait_for(lambda: archive.remaining() == ["000001", "000003"])
        os.replace(tmp_path / "later-5.wav", files[5])
        for worker in ray_workers(process.pid, "MapWorker"):
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: archive.remaining() == ["000003"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    os.replace(tmp_path / "later-9.wav", files[9])
    before = {name: archive.results(name).stat().st_mtime_ns for name in ("000000", "000001", "000002")}

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"{archive.folder}/results: 2 bad files")
    assert {name: archive.results(name).stat().st_mtime_ns for name in before} == before
    main([*map(str, files), "--model", str(models_dir / "tones"), "--json", "--speed", "fast"])
    assert rows_of(archive) == [as_row(line) for line in capsys.readouterr().out.splitlines()]
