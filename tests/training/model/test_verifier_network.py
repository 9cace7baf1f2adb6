"""The verifier's graph: what it gives does not depend on the level, and it is exported as torch computes it."""

import numpy as np
import onnxruntime as ort
import pytest
import torch

from training.model import verifier_network
from training.model.export import ExportMismatchError
from training.model.verifier_network import WINDOW, VerifierNetwork, export_verifier


@pytest.fixture(scope="module")
def network() -> VerifierNetwork:
    torch.manual_seed(0)
    return VerifierNetwork(keywords=2).eval()


def test_probabilities_do_not_depend_on_the_level(network: VerifierNetwork) -> None:
    audio = 0.1 * torch.randn(1, WINDOW)
    with torch.no_grad():
        loud, quiet = network(audio), network(0.01 * audio)
    assert loud.shape == (1, 2)
    assert 0 <= float(loud.min()) <= float(loud.sum()) <= 1
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=0)


def test_the_export_takes_any_number_of_windows(network: VerifierNetwork) -> None:
    session = ort.InferenceSession(export_verifier(network))
    for batch in (1, 3):
        (probabilities,) = session.run(["probabilities"], {"audio": np.zeros((batch, WINDOW), np.float32)})
        assert probabilities.shape == (batch, 2)


def test_an_export_that_computes_something_else_is_refused(
    network: VerifierNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_network, "TOLERANCE", -1.0)
    with pytest.raises(ExportMismatchError, match=r"verifier: expected probabilities within -1\.0 of torch, got"):
        export_verifier(network)
