"""The networks that `rc-train speech` offers by name, with their front-ends. Their labels are set by the recipe."""

from training.model.frontend import NO_OFFSET_HZ, FrontEndSettings
from training.model.network import NetworkSettings

PRESETS = {
    # the paper's, section 3.4 and A.4
    "paper": (FrontEndSettings(), NetworkSettings(labels=0)),
    # convolutions are robust to small shifts of pitch and formants; steps of 40 ms pay for a wide LSTM; PCEN follows
    # the background, the level and a constant offset
    "conv": (
        FrontEndSettings(bands=40, low_hz=NO_OFFSET_HZ, pcen=True),
        NetworkSettings(
            0, bands=40, channels=(24, 48), stride=4, inputs=128, hidden=320, dense=64, dropout=0.2
        ),
    ),
}  # fmt: skip
