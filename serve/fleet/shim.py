"""What is sent to workers as code, since one that has no wgan must be able to say so."""

from collections.abc import Callable
from typing import Any


def attempt_function() -> Callable[[list[Any], int | None], dict[str, Any]]:
    """The function of one attempt. It is sent by value, so it imports all that it uses, and names nothing of here."""

    def attempt(sent: list[Any], number: int | None) -> dict[str, Any]:
        import os
        import socket

        import ray

        node = ray.get_runtime_context().get_node_id()
        where = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"  # type: ignore[no-untyped-call]
        by = {"node": node, "where": where, "process": os.getpid()}
        try:
            from wgan.serve.fleet.worker import Sent, answer
        except ImportError as error:
            line = (
                f"the node {where} cannot import wgan ({error}): every node needs wgan and the runtime of the backend, "
                "installed as on this machine, or in the nodes' image"
            )
            return {**by, "error": line, "exit_code": 2}
        return {**by, **answer(where, Sent(*sent), ray.get, number)}

    return attempt
