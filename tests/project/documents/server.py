"""A documented `wgan serve`: it goes on while the rest of its page is run, on a port of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE = 60.0
WRITTEN = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")


@dataclass
class Servers:
    """Those of a page. A port that the page names is the one that was free here."""

    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)
    ports: dict[str, str] = field(default_factory=dict)

    def start(self, words: Sequence[str]) -> str | None:
        """Starts one; why it is not ready, or None."""
        words, written = list(words), "8000"
        if "--port" in words:
            place = words.index("--port")
            written = words[place + 1]
            del words[place : place + 2]
        command = [sys.executable, "-m", "wgan", *words[1:], "--port", "0", "--json"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        self.processes.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        if "url" not in told:
            return f"{told.get('error')} {process.communicate(timeout=PATIENCE)[1][-600:]}"
        self.ports[written] = told["url"].rsplit(":", 1)[1]
        return None

    def found(self, command: str) -> str:
        """A command that asks a server, with the port that it has here."""
        return WRITTEN.sub(lambda match: f"127.0.0.1:{self.ports.get(match[2], match[2])}", command)


@contextmanager
def servers() -> Iterator[Servers]:
    """None is left after it; one that is told to end ends with 0."""
    made = Servers()
    try:
        yield made
        for process in made.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
    finally:
        for process in made.processes:
            process.kill()
            process.communicate()
