"""A server for one page on this machine: the files of a folder from memory, and arrays to and from the page."""

import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}


class Loopback:
    """Serves ``files`` under an address that nobody can guess. `close` ends it.

    Args:
        files: by their paths; arrays for the page are put among them under names that begin with a dot.
    """

    def __init__(self, files: Mapping[str, bytes]):
        self.files: dict[str, bytes] = dict(files)
        self.taken: bytes | None = None  # what the page sent last
        self.most = 0  # bytes that it may send
        self._secret = secrets.token_urlsafe(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Of the folder, with a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._secret}/"

    def close(self) -> None:
        """Ends it. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 600
            disable_nagle_algorithm = True  # which waits 40 ms for an answer to the head

            def do_GET(self) -> None:
                name = self._name()
                content = None if name is None else outer.files.get(name)
                if content is None:
                    self._answer(404, b"", "text/plain")
                else:
                    kind = KINDS.get(PurePosixPath(str(name)).suffix, "application/octet-stream")
                    self._answer(200, content, kind)

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "")
                if self._name() != ".images" or not length.isdecimal() or int(length) > outer.most:
                    self.close_connection = True
                    self._answer(400, b"", "text/plain")
                    return
                outer.taken = self.rfile.read(int(length))
                self._answer(200, b"", "text/plain")

            def _name(self) -> str | None:
                secret, _, name = self.path.removeprefix("/").partition("/")
                return name if secrets.compare_digest(secret.encode(), outer._secret.encode()) else None

            def _answer(self, status: int, content: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
