"""`make demo`: a server of its own on a free port, the bundled recording at live pace, each label as it comes."""

import asyncio
import json
import sys
from pathlib import Path

from clients.commands.stream import show_line, stream_files
from clients.connection import Event
from clients.player import Options
from service.testing import HOST, free_port, rc_serve, serving

HERE = Path(__file__).parent
RECORDING, SCRIPT = HERE / "demo.flac", HERE / "demo.json"
MODELS, MODEL = HERE.parents[1] / "models", "speech-commands-rc"


def listen(port: int) -> list[str]:
    """Stream the recording, print each event as it comes, and return the labels heard."""
    labels = []

    def show(path: Path, event: Event) -> None:
        show_line(path, event)
        if event["type"] == "detection":
            labels.append(event["label"])

    asyncio.run(stream_files([RECORDING], Options(f"ws://{HOST}:{port}/v1/stream"), show))
    return labels


def main() -> int:
    """Run the demo; exit status 1 unless every keyword of the recording was heard and nothing else."""
    script = json.loads(SCRIPT.read_text())
    keywords = [line["word"] for line in script if line["keyword"]]
    print(f"synthetic voices say: {' '.join(line['word'] for line in script)}", flush=True)
    with serving(port := free_port(), rc_serve(port, MODELS, MODEL)):
        labels = listen(port)
    print(f"keywords said:  {' '.join(keywords)}\nlabels heard:   {' '.join(labels)}")
    return int(labels != keywords)


if __name__ == "__main__":
    sys.exit(main())
