"""Where the repository and the real recordings are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RC_DATA", ROOT.parent / "shared" / "data"))
