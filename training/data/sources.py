"""Where the recordings of a model lie, as a command's options name them. Knows nothing of what is in them."""

import argparse
from dataclasses import dataclass
from pathlib import Path

SYNTHETIC_VOICES = "synthetic voices"  # in the description of recordings that a program has spoken


@dataclass(frozen=True)
class DataSources:
    """Folders: one of recordings per word, and those of background noise, room responses and running speech."""

    recordings: Path
    noise: tuple[Path, ...] = ()
    rooms: tuple[Path, ...] = ()
    speech: tuple[Path, ...] = ()
    about: str = ""  # what the recordings are, where their folder's name does not say it

    @staticmethod
    def add_recordings_argument(command: argparse.ArgumentParser, required: bool = True) -> None:
        """The option of a command that needs recordings of words alone."""
        command.add_argument(
            "--data-dir", type=Path, required=required, help="folder with a folder of recordings per word"
        )

    @staticmethod
    def add_arguments(command: argparse.ArgumentParser, required: bool = True) -> None:
        """The options that `from_args` reads."""
        DataSources.add_recordings_argument(command, required)
        for option, content in (
            ("--noise", "background recordings"),
            ("--rooms", "room impulse responses"),
            ("--speech", "running speech with word times"),
        ):
            command.add_argument(option, type=Path, nargs="*", default=[], help=f"folders of {content}")

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "DataSources":
        return cls(args.data_dir, tuple(args.noise), tuple(args.rooms), tuple(args.speech))

    def absolute(self) -> "DataSources":
        """The same for a process with another working directory."""
        noise, rooms, speech = (
            tuple(path.absolute() for path in paths) for paths in (self.noise, self.rooms, self.speech)
        )
        return DataSources(self.recordings.absolute(), noise, rooms, speech, self.about)
