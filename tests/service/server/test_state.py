from pathlib import Path

import pytest

from service.server.state import ServerState
from service.settings import Settings


def test_streams_are_counted(models_dir: Path) -> None:
    state = ServerState(Settings(models_dir=models_dir, default_model="tones", max_streams=7))
    assert "kws_streams_limit 7.0" in state.metrics.text().decode()
    with state.stream():
        with state.stream():
            assert state.stream_count == 2
        with pytest.raises(RuntimeError), state.stream():
            raise RuntimeError
        assert state.stream_count == 1
    assert "kws_streams 0.0" in state.metrics.text().decode()


async def test_streams_are_refused_before_the_start_at_the_limit_and_when_draining(models_dir: Path) -> None:
    state = ServerState(Settings(models_dir=models_dir, default_model="tones", max_streams=1))
    assert (state.ready, state.refusal()) == (False, "not_ready")
    state.models.start()
    assert (state.ready, state.refusal()) == (True, None)
    with state.stream():
        assert state.refusal() == "too_many_streams"
    state.drain()
    assert (state.ready, state.refusal()) == (False, "not_ready")
    state.close()
    text = state.metrics.text().decode()
    assert 'kws_rejected_total{reason="not_ready"} 2.0' in text
    assert 'kws_rejected_total{reason="too_many_streams"} 1.0' in text
