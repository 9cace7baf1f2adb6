"""The verifier as a torch module: raw audio in, a probability per keyword out; and its export."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.model.export import OPSET, TOLERANCE, ExportMismatchError
from training.model.frontend import SAMPLE_RATE
from training.model.speech_embedding import SIZE, SpeechEmbedding, samples_of

VECTORS = 8  # of the embedding that it looks at
WINDOW = samples_of(VECTORS)  # samples, 1.34 s
LOUDNESS = 0.05  # of the loudest part of a window, so that the level of a microphone does not matter
LOUD_BLOCKS, BLOCK = 16, 400  # that part: 0.4 s in blocks of 25 ms
SEGMENTS = 4  # of the window, in which the head averages


class VerifierHead(nn.Module):
    """Vectors [batch, VECTORS, SIZE] → logits [batch, keywords + 1], the last one for none of them."""

    def __init__(self, keywords: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(SIZE, SIZE, 3, padding=1)
        self.second = nn.Conv1d(SIZE, SIZE, 3, padding=1)
        self.output = nn.Linear(SEGMENTS * SIZE, keywords + 1)

    def forward(self, vectors: Tensor) -> Tensor:
        hidden = self.first(functional.dropout(vectors.transpose(1, 2), 0.2, self.training)).relu()
        hidden = hidden + self.second(functional.dropout(hidden, 0.3, self.training)).relu()
        segments = hidden.unflatten(2, (SEGMENTS, VECTORS // SEGMENTS)).mean(3)
        logits: Tensor = self.output(functional.dropout(segments.flatten(1), 0.4, self.training))
        return logits


class VerifierNetwork(nn.Module):
    """Samples [batch, WINDOW] → probabilities [batch, keywords]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, keywords: int) -> None:
        super().__init__()
        self.embedding = SpeechEmbedding()
        self.head = VerifierHead(keywords)
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("scale", torch.ones(SIZE))

    def forward(self, audio: Tensor) -> Tensor:
        vectors = (self.embed(audio) - self.mean) * self.scale
        probabilities: Tensor = self.head(vectors).softmax(1)
        return probabilities[:, :-1]

    def embed(self, audio: Tensor) -> Tensor:
        """The vectors of audio [batch, samples] of any length, brought to LOUDNESS."""
        whole = audio[:, audio.shape[1] % BLOCK :]
        blocks = whole.unflatten(1, (-1, BLOCK)).square().mean(2)
        loudest = blocks.topk(LOUD_BLOCKS, dim=1).values.mean(1, keepdim=True).sqrt()
        vectors: Tensor = self.embedding(audio * (LOUDNESS / loudest.clamp_min(1e-4)))
        return vectors


def export_verifier(network: VerifierNetwork) -> bytes:
    """The verifier.onnx. Raises ExportMismatchError unless onnxruntime gives torch's probabilities."""
    network.eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the older exporter, as in `write_graph`
        path = Path(folder) / "verifier.onnx"
        torch.onnx.export(
            network, (torch.zeros(2, WINDOW),), str(path), input_names=["audio"], output_names=["probabilities"],
            dynamic_axes={"audio": {0: "batch"}, "probabilities": {0: "batch"}}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        content = path.read_bytes()
    check_parity(network, content)
    return content


def check_parity(network: VerifierNetwork, content: bytes) -> None:
    time = np.arange(WINDOW, dtype=np.float32) / SAMPLE_RATE
    audio = np.stack([0.1 * np.sin(500 * time * (1 + time)), 0.001 * np.sin(3000 * time), 0 * time]).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(audio)).numpy()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(["probabilities"], {"audio": audio})[0] - expected).max())
    if not difference <= TOLERANCE:
        raise ExportMismatchError(f"verifier: expected probabilities within {TOLERANCE} of torch, got {difference:.2g}")
