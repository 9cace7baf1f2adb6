"""`make demo`: start a server on a free port, stream the bundled recording at live pace, print each decision."""

import asyncio
import json
import sys
from pathlib import Path

from clients.commands.stream import show_line, stream_files
from clients.connection import Event
from clients.decisions import is_final
from clients.player import PlayerOptions
from service.bundled import BUNDLED_MODEL, models_directory
from service.commands.output import run_command
from service.testing import HOST, free_port, rc_serve, serving

HERE = Path(__file__).parent
RECORDING, SCRIPT = HERE / "demo.flac", HERE / "demo.json"
MODELS, MODEL = models_directory(), BUNDLED_MODEL


def stream_recording(port: int) -> list[str]:
    """Stream the recording, print each event as it comes, and return the labels that were confirmed."""
    labels = []

    def show(path: Path, event: Event) -> None:
        show_line(path, event)
        if is_final(event):
            labels.append(event["label"])

    asyncio.run(stream_files([RECORDING], PlayerOptions(f"ws://{HOST}:{port}/v1/stream", early=True), show))
    return labels


def main() -> int:
    """Run the demo; exit status 1 unless exactly the keywords of the recording were confirmed."""
    return run_command("demo", run)


def run() -> int:
    """Start the server, stream, and compare the labels with the script."""
    script = json.loads(SCRIPT.read_text())
    keywords = [line["word"] for line in script if line["keyword"]]
    print(f"words of the synthetic voices: {' '.join(line['word'] for line in script)}", flush=True)
    with serving(port := free_port(), rc_serve(port, MODELS, MODEL)):
        labels = stream_recording(port)
    print(f"keywords spoken:  {' '.join(keywords)}\nlabels detected:  {' '.join(labels)}")
    return int(labels != keywords)


if __name__ == "__main__":
    sys.exit(main())
