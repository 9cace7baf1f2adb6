"""Where the models are: ./models of a checkout or a deployment, else the one that is installed with the package."""

from pathlib import Path

BUNDLED_MODEL = "speech-commands-rc"
PACKAGED_MODELS = Path(__file__).with_name("models")


def models_directory() -> Path:
    """./models where there is a model in it, else the package's."""
    local = Path("models")
    return local if any(local.glob("*/model.onnx")) else PACKAGED_MODELS


def bundled_model() -> Path:
    """The directory of the model that a command takes by default."""
    return models_directory() / BUNDLED_MODEL
