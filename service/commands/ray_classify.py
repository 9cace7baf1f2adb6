"""rc-classify --ray: the partitions of an archive, classified by the workers of a Ray cluster. Needs the extra `ray`.

Every machine reads the files, the model and the folder of results by the same paths. A worker writes the rows of its
partition itself and only counts travel, so the object store stays empty however large the archive is. Ray runs a
partition again whose worker died; a partition that has its results is never run again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from service.commands.archive import Archive, Job
from service.commands.file_groups import groups
from service.commands.output import path_text
from service.spotting.classify import classify_encoded
from service.spotting.file_result import FileResult
from service.spotting.metadata import ModelError
from service.spotting.model import Model

ROW = pa.schema(
    {
        "file": pa.string(),
        "label": pa.string(),
        "score": pa.float64(),
        "crossed": pa.bool_(),
        "frame": pa.int64(),
        "decision_time_s": pa.float64(),
        "duration_s": pa.float64(),
        "error": pa.string(),
    }
)


def classify_partitions(
    archive: Archive, partitions: Sequence[str], job: Job, model: Path, on_done: Callable[[int], None]
) -> None:
    """Classify these partitions; `on_done` gets the number of files of each that is done."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    cpus = int(ray.cluster_resources().get("CPU", 1))
    workers = ray.data.ActorPoolStrategy(min_size=max(1, min(cpus, len(partitions))))
    rows = ray.data.from_items([{"partition": name} for name in partitions], override_num_blocks=len(partitions))
    done = rows.map_batches(
        PartitionClassifier,
        fn_constructor_args=(archive, job, Path(os.path.abspath(model))),
        batch_size=1,
        compute=workers,
        num_cpus=1,
    )
    for row in done.iter_rows():
        on_done(row["files"])


class PartitionClassifier:
    """One worker: it keeps the model in memory from partition to partition."""

    def __init__(self, archive: Archive, job: Job, model: Path) -> None:
        self._archive, self._job, self._model = archive, job, Model(model)
        if self._model.sha256 != job.model_sha256:
            raise ModelError(f"{model}: expected sha256 {job.model_sha256} on every machine, got {self._model.sha256}")

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[int]]:
        return {"files": [self._classify(str(name)) for name in batch["partition"]]}

    def _classify(self, partition: str) -> int:
        """Write the rows of a partition; returns how many there are."""
        work = partial(classify_encoded, self._model, threshold=self._job.threshold, speed=self._job.speed)
        batches = (
            work([(path_text(file), file) for file in group]) for group in groups(self._archive.files(partition))
        )
        rows = [_row(result) for results in batches for result in results]
        write_rows(rows, self._archive.results(partition))
        return len(rows)


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write a whole Parquet file or none; several workers may write the same one."""
    draft = path.with_name(f".{uuid4().hex}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=ROW), draft)
    draft.replace(path)


def count_failed(archive: Archive) -> int:
    """How many files are bad, of those with rows."""
    columns = (pq.read_table(archive.results(name), columns=["error"])["error"] for name in archive.partitions())
    return sum(len(column) - column.null_count for column in columns)


def _row(result: FileResult) -> dict[str, object]:
    """A file's result under the columns of ROW; None where it has no value."""
    fields = result.to_json()
    error = result.error.message if result.error else None
    return {name: fields.get(name) for name in ROW.names[:-1]} | {"error": error}
