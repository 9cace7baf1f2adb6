"""rc-classify --ray: the rows of rc-classify, also where a worker dies."""

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
from service.spotting.metadata import ModelError
from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.ray_processes import WAIT_S, ended, ray_workers, starts_ray, wait_for
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

REASON = "needs the extra ray: pip install '.[ray]'"
pytest.importorskip("ray", reason=REASON)
pq = pytest.importorskip("pyarrow.parquet", reason=REASON)
ray_classify = pytest.importorskip("service.commands.ray_classify", reason=REASON)


def rows_of(archive: Archive) -> list[dict[str, Any]]:
    """All rows, in order of the files, without the columns that have no value."""
    rows = [row for name in archive.partitions() for row in pq.read_table(archive.results(name)).to_pylist()]
    return [{column: value for column, value in row.items() if value is not None} for row in rows]


def as_row(line: str) -> dict[str, Any]:
    """A line of rc-classify --json."""
    result: dict[str, Any] = json.loads(line)
    return {**result, "error": result["error"]["message"]} if "error" in result else result


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve sound files, one of them bad and one missing."""
    files = [tmp_path / f"{number}.wav" for number in range(12)]
    for number, file in enumerate(files):
        soundfile.write(file, synthesize("yes" if number % 2 else "no", seed=number), RATE)
    files[3].write_bytes(b"hello")
    files[4].unlink()
    return files


def listed(files: list[Path], model: Path) -> tuple[Archive, Job]:
    """An archive of these files, three per partition."""
    manifest = files[0].with_name("list.txt")
    manifest.write_text("\n".join(map(str, files)))
    archive, job = Archive(manifest.with_name("out")), Job((str(manifest),), Model(model).sha256, "fast", None)
    archive.open(job, partition_files=3)
    return archive, job


def expected_rows(files: list[Path], model: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    main([*map(str, files), "--model", str(model), "--json", "--speed", "fast"])
    return [as_row(line) for line in capsys.readouterr().out.splitlines()]


def test_a_worker_writes_the_rows_of_rc_classify(
    files: list[Path], models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, job = listed(files, models_dir / "tones")
    classifier = ray_classify.PartitionClassifier(archive, job, models_dir / "tones")
    assert classifier({"partition": archive.partitions()}) == {"files": [3, 3, 3, 3]}
    assert rows_of(archive) == expected_rows(files, models_dir / "tones", capsys)
    assert ray_classify.count_failed(archive) == 2
    assert archive.remaining() == []


def test_a_worker_with_another_model_does_nothing(files: list[Path], models_dir: Path) -> None:
    archive, job = listed(files, models_dir / "tones")
    with pytest.raises(ModelError, match=r"expected sha256 \w+ on every machine, got"):
        ray_classify.PartitionClassifier(archive, job, models_dir / "other")


def test_results_of_another_job_and_options_that_go_together_are_errors(
    files: list[Path], models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, _ = listed(files, models_dir / "tones")
    command = [str(files[0].with_name("list.txt")), "--model", str(models_dir / "tones"), "--ray", "local"]
    assert main([*command, "--out", str(archive.folder), "--speed", "accurate"]) == 2
    expected = "expected the same speed as in the run that this one resumes, got 'accurate' after 'fast'"
    assert expected in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "expected --ray ADDRESS and --out DIR together, got one of them" in capsys.readouterr().err


@starts_ray
def test_a_partition_whose_worker_dies_is_classified_by_another(
    files: list[Path], models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading a pipe blocks, so the worker of the last partition is killed at its work."""
    folder, expected = files[0].parent, expected_rows(files, models_dir / "tones", capsys)
    archive, _ = listed(files, models_dir / "tones")
    earlier = [{**dict.fromkeys(expected[0]), "file": f"{number} of an earlier run"} for number in range(3)]
    ray_classify.write_rows(earlier, archive.results("000000"))
    audio = files[10].rename(folder / "audio")
    os.mkfifo(files[10])

    command = [sys.executable, "-m", "service.commands.classify", "--ray", "local", "--out", str(archive.folder)]
    command += [str(folder / "list.txt"), "--model", str(models_dir / "tones"), "--speed", "fast"]
    with (folder / "log").open("w") as log, ended(subprocess.Popen(command, cwd=ROOT, stderr=log)) as process:
        wait_for(lambda: process.poll() is not None or archive.remaining() == ["000003"])
        audio.replace(files[10])
        for worker in ray_workers(process.pid, "MapWorker"):
            os.kill(worker, signal.SIGKILL)
        status = process.wait(WAIT_S)
    assert (status, (folder / "log").read_text().splitlines()[-1]) == (1, f"{archive.folder}/results: 2 bad files")
    assert rows_of(archive) == [{"file": row["file"]} for row in earlier] + expected[3:]
