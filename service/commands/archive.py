"""An archive of sound files as a folder of partitions: its list of files, made once, and the results so far.

    OUT/files/000000             the paths of a partition, each ended by a zero byte
    OUT/job.json                 what decides the rows; written last, so that an interrupted list is made again
    OUT/results/000000.parquet   a row per file of the partition; a file that is there is whole

Knows nothing of who classifies the partitions.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from service.commands.sound_folders import find_files
from service.spotting.classify import BATCH
from service.spotting.files import SUFFIXES

PARTITION_FILES = 16 * BATCH  # a lost worker loses no more work than this, and ten million files are 10,000 partitions
MANIFEST_SUFFIX = ".txt"


class ArchiveError(Exception):
    """The archive cannot be classified: its folder is of another job, or there is no cluster."""


@dataclass(frozen=True)
class Job:
    """What decides the rows of an archive."""

    paths: tuple[str, ...]
    model_sha256: str
    speed: str
    threshold: str | None


@dataclass(frozen=True)
class Archive:
    """The folder of one job."""

    folder: Path

    def open(self, job: Job, partition_files: int = PARTITION_FILES) -> None:
        """List the files, or keep the list of an earlier run. Raises ArchiveError where that was another job."""
        record = self.folder / "job.json"
        if record.exists():
            _check_same(json.loads(record.read_text()), job, record)
            return
        shutil.rmtree(self.folder / "files", ignore_errors=True)
        for part in ("files", "results"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        files = _named_files(map(Path, job.paths))
        number = 0
        while partition := list(islice(files, partition_files)):
            self._list(f"{number:06d}").write_bytes(b"".join(os.fsencode(file) + b"\0" for file in partition))
            number += 1
        if not number:
            raise FileNotFoundError(f"expected sound files ({', '.join(sorted(SUFFIXES))}), got none")
        draft = record.with_suffix(".part")
        draft.write_text(json.dumps(asdict(job), indent=1) + "\n")
        draft.replace(record)

    def partitions(self) -> list[str]:
        """Names of all partitions, in order of their files."""
        return sorted(os.listdir(self.folder / "files"))

    def remaining(self) -> list[str]:
        """Names of those without results."""
        done = set(os.listdir(self.folder / "results"))
        return [name for name in self.partitions() if self.results(name).name not in done]

    def files(self, partition: str) -> list[Path]:
        """The sound files of a partition."""
        return [Path(os.fsdecode(name)) for name in self._list(partition).read_bytes().split(b"\0")[:-1]]

    def results(self, partition: str) -> Path:
        """The file of a partition's rows."""
        return self.folder / "results" / f"{partition}.parquet"

    def _list(self, partition: str) -> Path:
        return self.folder / "files" / partition


def _named_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Absolute paths: other machines read them. Those in a manifest are not looked at; each gets a row."""
    for path in paths:
        if path.suffix.lower() == MANIFEST_SUFFIX and path.is_file():
            with path.open("rb") as lines:
                yield from (_absolute(os.fsdecode(name)) for line in lines if (name := line.rstrip(b"\r\n")))
        else:
            yield from map(_absolute, find_files([path]))


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))


def _check_same(earlier: dict[str, object], job: Job, record: Path) -> None:
    now = json.loads(json.dumps(asdict(job)))
    if changed := [name for name in now if now[name] != earlier.get(name)]:
        raise ArchiveError(
            f"{record}: expected the same {', '.join(changed)} as in the run that this one resumes, got "
            f"{'; '.join(f'{now[name]!r} after {earlier.get(name)!r}' for name in changed)}: choose another --out"
        )
