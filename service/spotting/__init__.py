"""Keyword spotting without a server: audio in, labels out.

`Spotter` and `Model` are loaded on first use, so that a caller that needs only the sound file reader does not
wait for onnxruntime.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.spotting.model import Model
    from service.spotting.spotter import Spotter

__all__ = ["Model", "Spotter"]


def __getattr__(name: str) -> Any:
    if name == "Model":
        from service.spotting.model import Model

        return Model
    if name == "Spotter":
        from service.spotting.spotter import Spotter

        return Spotter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
