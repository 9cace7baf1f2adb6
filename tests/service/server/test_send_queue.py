import asyncio
import json

from service.server.send_queue import SendQueue
from service.spotting.config import ProtocolError


async def test_messages_go_out_in_order_each_made_at_its_hand_over() -> None:
    out: list[str] = []

    async def send(text: str) -> None:
        out.append(text)

    box = SendQueue(5, lambda error: None)
    box.put({"a": 1})
    box.put_lazy(lambda: {"sent": len(out)})
    box.put({"b": 2})
    box.end()
    await box.send_all(send)
    assert [json.loads(text) for text in out] == [{"a": 1}, {"sent": 1}, {"b": 2}]


async def test_the_last_word_goes_in_however_many_wait() -> None:
    out: list[str] = []

    async def send(text: str) -> None:
        out.append(text)

    box = SendQueue(1, lambda error: None)
    for number in range(3):
        box.put({"n": number})
    box.end({"bye": 1})
    await box.send_all(send)
    assert [json.loads(text) for text in out] == [{"n": 0}, {"bye": 1}]


async def test_a_client_that_does_not_read_is_given_up() -> None:
    errors: list[ProtocolError] = []
    box = SendQueue(2, errors.append)
    sending = asyncio.create_task(box.send_all(lambda _: asyncio.sleep(60)))
    box.put({})
    await asyncio.sleep(0)  # one is on its way, two may wait
    for _ in range(2):
        box.put({})
    assert errors == []
    box.put({})
    assert [(error.code, error.close, str(error)) for error in errors] == [
        ("slow_reader", 1008, "expected messages to be read, got 2 that are not")
    ]
    sending.cancel()
