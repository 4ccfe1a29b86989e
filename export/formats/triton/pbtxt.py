"""Protobuf text from Python values, as Triton reads its `config.pbtxt`."""

from collections.abc import Iterator, Mapping, Sequence


class Word(str):
    """A value of an enumeration: written without quotes."""


Value = str | int | Sequence["Value"] | Mapping[str, "Value"]


def text_of(message: Mapping[str, Value]) -> str:
    """A whole file. A mapping is a message, a list of mappings a repeated one, any other list is written in brackets.

    An empty list of messages is left out.
    """
    return "".join(f"{line}\n" for line in _fields(message))


def _fields(message: Mapping[str, Value]) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield f"{name} {{"
            yield from (f"  {line}" for line in _fields(value))
            yield "}"
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if any(isinstance(each, Mapping) for each in value):
                for each in value:
                    yield from _fields({name: each})
            elif value or name in ("dims", "shape"):
                yield f"{name}: [ {', '.join(map(_scalar, value))} ]"
        else:
            yield f"{name}: {_scalar(value)}"


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not isinstance(value, Word):
        return quoted(value)
    return str(value)


def quoted(text: str) -> str:
    """A protobuf text string: printable ASCII as it is, every other byte of its UTF-8 in octal."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
