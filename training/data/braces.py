"""Names with braces, as the webdataset package takes them: `faces-{000000..000099}.tar`, `{train,more}-{0..7}.tar`."""

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from wgan.serve.base.errors import DatasetError
from wgan.serve.base.terminal import counted

MOST = 100_000  # names
_NUMBERS = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(-?\d{1,18}))?")
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d{1,18}))?")


def has_braces(text: str) -> bool:
    """Whether `expanded` makes anything else of it."""
    return next(iter(_alternatives(text)), text) != text


def expanded(text: str) -> list[str]:
    """All names, in their order; of text without ranges and lists that text alone.

    Raises:
        DatasetError: they are more than `MOST`.
    """
    names = list(islice(_alternatives(text), MOST + 1))
    if len(names) > MOST:
        raise DatasetError(f"{text} stands for more than {MOST:,} files: name fewer, larger ones")
    return names


def missing_of(shown: str, count: int, missing: int, first: str) -> str:
    """The line where some of the files of a range are missing."""
    are = "is" if missing == 1 else "are"
    return (
        f"{shown} stands for {counted(count, 'file')}, and {missing:,} of them {are} not there, such as {first}: "
        "bring them, or name those that are there"
    )


def _alternatives(text: str) -> Iterator[str]:
    found = _first_pair(text)
    if found is None:
        yield text
        return
    start, end, commas = found
    inside = text[start + 1 : end]
    # the rest once more for each, so that nothing is made before it is asked for
    for middle in _inside(inside, [comma - start - 1 for comma in commas]):
        for rest in _alternatives(text[end + 1 :]):
            yield text[:start] + middle + rest


def _inside(inside: str, commas: list[int]) -> Iterator[str]:
    if commas:
        edges = [-1, *commas, len(inside)]
        for before, after in pairwise(edges):
            yield from _alternatives(inside[before + 1 : after])
    elif (match := _NUMBERS.fullmatch(inside)) is not None:
        padded = any(re.match(r"-?0\d", end) for end in match.groups()[:2])
        width = max(map(len, match.groups()[:2])) if padded else 0
        for number in _steps(int(match[1]), int(match[2]), match[3]):
            yield f"{number:0{width}d}"
    elif (match := _LETTERS.fullmatch(inside)) is not None:
        yield from map(chr, _steps(ord(match[1]), ord(match[2]), match[3]))
    else:  # braces that say nothing are part of the name, as in a shell
        for middle in _alternatives(inside):
            yield f"{{{middle}}}"


def _steps(first: int, last: int, step: str | None) -> range:
    size = abs(int(step)) if step else 1
    size = max(size, 1)
    return range(first, last + 1, size) if first <= last else range(first, last - 1, -size)


def _first_pair(text: str) -> tuple[int, int, list[int]] | None:
    """Where the first brace that is closed opens and closes, and the commas between that are in no other pair."""
    open_at: list[int] = []
    commas: dict[int, list[int]] = {}
    pairs: list[tuple[int, int]] = []
    for at, character in enumerate(text):
        if character == "{":
            open_at.append(at)
            commas[at] = []
        elif character == "," and open_at:
            commas[open_at[-1]].append(at)
        elif character == "}" and open_at:
            pairs.append((open_at.pop(), at))
    first = min(pairs, default=None)
    return None if first is None else (*first, commas[first[0]])
