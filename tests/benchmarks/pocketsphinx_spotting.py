"""What PocketSphinx spots in recordings at a threshold, one JSON object a line, to be scored beside ours.

    python -m tests.benchmarks.pocketsphinx_spotting --threshold 1e-5 recordings/*.flac > told.jsonl

`told_s` is how much audio it had heard when it told; a word in the last 0.1 s of a recording is not told.
openWakeWord has none of these words.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from service.audio import read_audio
from tests.benchmarks.environment import FOLDER, hear, peers_python


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pocketsphinx_spotting")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--threshold", required=True, help="of every keyword, 1e-50 to 1e+50; the lower, the more")
    parser.add_argument("--venv", type=Path, default=FOLDER, help="where the peers are installed (build/peers)")
    given = parser.parse_args(argv)
    python = peers_python(given.venv)
    for file in given.files:
        audio = read_audio(file, max_s=math.inf)
        for told in hear(python, "pocketsphinx", audio, "--threshold", given.threshold)["told"]:
            print(json.dumps({"file": str(file), **told}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
