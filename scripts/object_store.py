"""An S3 endpoint on this machine: moto's server, in a process that ends with the one that started it.

For tests and fault harnesses; its other half is `faulty_proxy.py`.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path
from types import TracebackType

REGION = "us-east-1"
# moto does not check signatures, but takes a request without one for a stranger's
SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential=any/20300101/{REGION}/s3/aws4_request, Signature=any"}
# Recognisable: none of them may be found in anything that is written or said.
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAFAKEKEYOFWGAN0000",
    "AWS_SECRET_ACCESS_KEY": "fakeSecretOfWgan+never/seen==",
    "AWS_SESSION_TOKEN": "fakeTokenOfWgan+never/seen==",
}


def environment(url: str) -> dict[str, str]:
    """What obstore and other S3 clients read: the endpoint's address and credentials that anybody may know."""
    return {**SECRETS, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": url}


class MotoServer:
    """moto's server on a free port of loopback, in a process of its own. The objects are in its memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            raise RuntimeError("moto's server did not start: run `python scripts/object_store.py 0` to see why")
        self.url = f"http://127.0.0.1:{port}"
        self.pid = self._process.pid

    def bucket(self, name: str) -> "Bucket":
        """The bucket of this name, made where there is none."""
        _ask("PUT", f"{self.url}/{name}")
        return Bucket(self.url, name)

    def close(self) -> None:
        """Ends the process. The objects are gone."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> "MotoServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Bucket:
    """A bucket, seen by plain HTTP past what is tested. Keys are as they are, not encoded."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint, self.name = endpoint, name

    def address(self, key: str = "") -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.name}/{key}"

    def put(self, key: str, content: bytes) -> None:
        """Stores an object."""
        _ask("PUT", self._url(key), content)

    def get(self, key: str) -> bytes:
        """The object's bytes.

        Raises:
            KeyError: there is none.
        """
        try:
            return _ask("GET", self._url(key))
        except urllib.error.HTTPError as error:
            error.close()
            raise KeyError(key) from None

    def delete(self, key: str) -> None:
        """Removes the object, if it is there."""
        _ask("DELETE", self._url(key))

    def keys(self, prefix: str = "", page: int = 1000) -> list[str]:
        """The keys below a prefix, sorted; asked for by so many a page."""
        found: list[str] = []
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(page)}
        while True:
            answer = _ask("GET", f"{self.endpoint}/{self.name}?{urllib.parse.urlencode(query)}")
            found += _texts(answer, "Contents", "Key")
            following = ET.fromstring(answer).findtext("{*}NextContinuationToken")
            if following is None:
                return sorted(found)
            query["continuation-token"] = following

    def uploads(self) -> list[str]:
        """The keys of multipart uploads that were begun, and neither completed nor aborted."""
        return _texts(_ask("GET", f"{self.endpoint}/{self.name}?uploads"), "Upload", "Key")

    def _url(self, key: str) -> str:
        return f"{self.endpoint}/{self.name}/{urllib.parse.quote(key)}"


def _ask(method: str, url: str, content: bytes | None = None) -> bytes:
    headers = {**SIGNED, "Content-Type": "application/octet-stream"}  # urllib's own is a form's, which moto empties
    request = urllib.request.Request(url, data=content, method=method, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()  # type: ignore[no-any-return]


def _texts(document: bytes, item: str, field: str) -> list[str]:
    """The texts of a field in each item of an answer, whatever namespace it is in."""
    return [
        found.findtext(f"{{*}}{field}") or "" for found in ET.fromstring(document).iter() if found.tag.endswith(item)
    ]


def _serve_moto(parent: int) -> None:
    """Serves until the parent is gone, whatever has ended it; says the port on a line."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    while not parent or os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


if __name__ == "__main__":
    _serve_moto(int(sys.argv[1]))
