"""The keyword-spotting service: audio in, labels out. Needs neither torch nor the training package."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would report to its maker
