"""A reply's head and body leave together, and nothing waits for long or changes its place."""

import asyncio
from collections.abc import Callable, Iterable

from wgan.serve.http.connection.joined import SMALL, Joined

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", bytes(9000)


class Recorder(asyncio.Transport):
    """What is written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def writelines(self, list_of_data: Iterable[object]) -> None:
        self.write(b"".join(map(bytes, list_of_data)))  # type: ignore[call-overload]

    def close(self) -> None:
        self.written.append(b"closed")

    def get_write_buffer_size(self) -> int:
        return 7


def written(*steps: Callable[[Joined], object], turns: int = 0) -> list[bytes]:
    """What a connection gets of these steps, and of so many turns of the loop after them."""

    async def run() -> list[bytes]:
        transport = Recorder()
        joined = Joined(transport, asyncio.get_running_loop())
        for step in steps:
            step(joined)
        for _ in range(turns):
            await asyncio.sleep(0)
        return list(transport.written)

    return asyncio.run(run())


def test_a_head_leaves_with_its_body() -> None:
    assert written(lambda to: to.write(HEAD), lambda to: to.write(BODY), turns=2) == [HEAD + BODY]
    assert written(lambda to: to.write(HEAD), lambda to: to.write(b"small"), turns=2) == [HEAD + b"small"]
    assert written(lambda to: to.write(HEAD), lambda to: to.write(b""), turns=2) == [HEAD]


def test_a_head_alone_waits_for_one_turn_of_the_loop() -> None:
    assert written(lambda to: to.write(HEAD)) == []
    assert written(lambda to: to.write(HEAD), turns=1) == [HEAD]


def test_what_is_large_does_not_wait() -> None:
    assert written(lambda to: to.write(bytes(SMALL))) == [bytes(SMALL)]
    assert written(lambda to: to.write(BODY), lambda to: to.write(BODY)) == [BODY, BODY]


def test_what_waits_is_written_before_the_end() -> None:
    assert written(lambda to: to.write(HEAD), lambda to: to.close(), turns=1) == [HEAD, b"closed"]


def test_all_else_is_the_connection_s_own() -> None:
    sizes: list[int] = []
    written(lambda to: sizes.append(to.get_write_buffer_size()))
    assert sizes == [7]
