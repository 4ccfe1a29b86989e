"""The network interface that gloo listens at."""

import os
import socket

from wgan.serve.base.terminal import detail
from wgan.serve.machine.network import Interface, interfaces, is_loopback, leading_to, resolved

GLOO, MASTER = "GLOO_SOCKET_IFNAME", "MASTER_ADDR"


def better() -> Interface | None:
    """An interface for gloo where its own choice cannot be reached by other machines; None where it is left to gloo.

    Gloo listens at the address that the machine's name leads to. On many systems that is 127.0.1.1, or nothing.
    """
    if GLOO in os.environ or MASTER not in os.environ:
        return None
    own = resolved(socket.gethostname())
    if own is not None and not is_loopback(own):
        return None
    towards = leading_to(os.environ[MASTER], interfaces())
    return None if towards is None or towards.loopback else towards


def towards_the_others() -> None:
    """Has gloo listen at the interface that leads to the first process, where it would choose one that nobody reaches.

    Also for the processes that this one starts.
    """
    found = better()
    if found is not None:
        os.environ[GLOO] = found.name
        detail(f"{socket.gethostname()} leads to no address that others reach: gloo takes {found.name}")
