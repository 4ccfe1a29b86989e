"""A request is read to the letter: what is not as it should be gets one line that names the field."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request as HttpRequest

from tests.fakes.generator import FakeGenerator
from wgan.serve.base.terminal import plain
from wgan.serve.http.described.operations import bodies, parts
from wgan.serve.http.images.asked import Asked, most_of, of_json, of_url
from wgan.serve.http.images.chosen import choose
from wgan.serve.http.images.encoding import FORMATS
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.sampling.request import Request

LAST = 2**63 - 1
CLASSES = ("black", "blue")
LIMITS = Settings()
BODIES: list[tuple[Any, str]] = [
    ({}, "seed"),
    ([], "object"),
    ("seed", "object"),
    ({"seed": True}, "seed"),
    ({"seed": 1.0}, "seed"),
    ({"seed": -1}, "seed"),
    ({"seed": LAST + 1}, "seed"),
    ({"seed": str(LAST + 1)}, "seed"),
    ({"seed": "007"}, "seed"),
    ({"seed": "1_000"}, "seed"),
    ({"seed": " 1"}, "seed"),
    ({"seed": "١"}, "seed"),
    ({"seed": ""}, "seed"),
    ({"seed": None}, "seed"),
    ({"seed": [1]}, "seed"),
    ({"seed": LAST, "n": 2, "format": "raw"}, "seed"),
    ({"n": 0}, "n"),
    ({"n": -1}, "n"),
    ({"n": "1"}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": False}, "n"),
    ({"n": 2}, "png"),
    ({"n": 257, "format": "grid"}, "256"),
    ({"n": 10_001, "format": "tar"}, "10,000"),
    ({"n": 10**300}, "n"),
    ({"seed": 1, "seeds": [1]}, "seeds"),
    ({"n": 1, "seeds": [1]}, "seeds"),
    ({"seeds": []}, "seeds"),
    ({"seeds": 3}, "seeds"),
    ({"seeds": [1, True]}, "seeds"),
    ({"seeds": [1, "x"]}, "seeds"),
    ({"seeds": {"0": 1}}, "seeds"),
    ({"seeds": [1, 2]}, "seeds"),
    ({"seeds": [4, 4], "format": "tar"}, "seeds"),
    ({"seeds": [0] * 10_001, "format": "raw"}, "seeds"),
    ({"interpolate": [1], "format": "grid"}, "interpolate"),
    ({"interpolate": [1, 2, 3], "format": "grid"}, "interpolate"),
    ({"interpolate": [1, 2], "n": 3, "format": "grid"}, "interpolate"),
    ({"interpolate": [1, 2], "seed": 3, "format": "grid"}, "interpolate"),
    ({"interpolate": [1, 2], "seeds": [3], "format": "grid"}, "interpolate"),
    ({"interpolate": [1, 2]}, "steps"),
    ({"interpolate": [1, 2], "steps": 1, "format": "grid"}, "steps"),
    ({"interpolate": [1, 2], "steps": 257, "format": "grid"}, "steps"),
    ({"seed": 1, "steps": 3}, "steps"),
    ({"seed": 1, "label": "green"}, "black, blue"),
    ({"seed": 1, "label": 0}, "label"),
    ({"seed": 1, "label": "\ud800"}, "label"),
    ({"seed": 1, "label": "x" * 10**5}, "label"),
    ({"seed": 1, "truncation": 0}, "truncation"),
    ({"seed": 1, "truncation": 11}, "truncation"),
    ({"seed": 1, "truncation": "0.7"}, "truncation"),
    ({"seed": 1, "truncation": True}, "truncation"),
    ({"seed": 1, "truncation_kind": "scaled"}, "truncation"),
    ({"seed": 1, "truncation": 1, "truncation_kind": "cut"}, "truncation_kind"),
    ({"seed": 1, "format": "jpeg"}, "format"),
    ({"seed": 1, "format": None}, "format"),
    ({"seed": 1, "batch_size": 64}, "batch_size"),
    ({"seed": 1, "": 1}, "known"),
    ({"seed": 1, "latents": "/etc/passwd"}, "latents"),
    ({"seed": 1, "shard": "1/2"}, "shard"),
]
TEXTS: list[tuple[bytes, str]] = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b"{'seed': 1}", "JSON"),
    (b'{"seed": 1, "seed": 2}', "twice"),
    (b'{"seed": 1, "truncation": NaN}', "NaN"),
    (b'{"seed": 1, "truncation": Infinity}', "Infinity"),
    (b'{"seed": 1, "truncation": 1e999}', "truncation"),
    (b'{"seed": ' + b"1" * 5000 + b"}", "digits"),
    (b'{"seeds": ' + b"[" * 50_000, "JSON"),
    (b'{"seeds": ' + b"[" * 500 + b"]" * 500 + b"}", "nested"),
    (b'{"label": "\xff"}', "UTF-8"),
    ('{"seed": 1}'.encode("utf-16"), "UTF-8"),
    (b"\xef\xbb\xbf{}", "JSON"),
]
QUERIES = [
    ("seed=1", "seed"),
    ("n=2", "n"),
    ("format=png", "format"),
    ("truncation=0.7&truncation=0.7", "twice"),
    ("truncation=", "truncation"),
    ("truncation=nan", "truncation"),
    ("truncation=inf", "truncation"),
    ("truncation=1_0", "truncation"),
    ("truncation=+1", "truncation"),
    ("truncation=0x1", "truncation"),
    ("truncation=%31%30.5", "truncation"),
    ("truncation_kind=scaled", "truncation"),
    ("label=", "label"),
    ("label=%ff", "label"),
    ("Label=blue", "Label"),
    ("model=", "model"),
    ("model=abababa", "model"),
    ("model=ABABABAB", "model"),
    ("model=" + "a" * 65, "model"),
]


def generator(classes: tuple[str, ...] | None = CLASSES) -> FakeGenerator:
    return FakeGenerator(classes)


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def read(value: Any, classes: tuple[str, ...] | None = CLASSES) -> Asked:
    return of_json(body(value), generator(classes).metadata, LIMITS)


def read_url(seed: str, query: str = "", classes: tuple[str, ...] | None = CLASSES) -> Asked:
    scope = {"type": "http", "query_string": query.encode(), "path_params": {"seed": seed}, "headers": []}
    return of_url(HttpRequest(scope), "png", generator(classes).metadata)


def refused(value: Any) -> str | None:
    try:
        read(value)
    except Refusal as refusal:
        return refusal.message
    return None


def check_clear(refusal: Refusal) -> None:
    assert (refusal.status, refusal.code) == (400, "bad_request")
    assert refusal.message == plain(refusal.message)
    assert "\n" not in refusal.message
    assert len(refusal.message.encode()) < 400
    assert "--" not in refusal.message


@pytest.mark.parametrize(("value", "named"), BODIES, ids=lambda value: str(value)[:40])
def test_a_body_that_is_not_as_it_should_be_is_refused_by_the_name_of_its_field(value: Any, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(value)
    check_clear(caught.value)
    assert named in caught.value.message


@pytest.mark.parametrize(("text", "named"), TEXTS, ids=lambda value: str(value)[:40])
def test_a_body_that_is_no_json_to_the_letter_is_refused(text: bytes, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        of_json(text, generator().metadata, LIMITS)
    check_clear(caught.value)
    assert named in caught.value.message


@pytest.mark.parametrize(("query", "named"), QUERIES)
def test_a_query_that_is_not_as_it_should_be_is_refused_by_the_name_of_its_parameter(query: str, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_url("3", query)
    check_clear(caught.value)
    assert named in caught.value.message


@pytest.mark.parametrize(
    "seed", ["", "-1", "1.0", "01", "1e3", "0x1", str(LAST + 1), "9" * 5000, "١", " 1", "+1", "seed"]
)
def test_a_url_whose_seed_is_none_is_refused(seed: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_url(seed)
    check_clear(caught.value)
    assert "seed" in caught.value.message


def test_a_label_means_nothing_to_a_generator_without_classes() -> None:
    for ask in (lambda: read({"seed": 1, "label": "blue"}, None), lambda: read_url("1", "label=blue", None)):
        with pytest.raises(Refusal) as caught:
            ask()
        check_clear(caught.value)
        assert "label" in caught.value.message
        assert "trained without labels" in caught.value.message


def test_a_url_and_a_body_ask_for_the_same_as_the_command() -> None:
    wanted = Request(n=1, seed=LAST, label="blue", truncation=0.7, truncation_kind="scaled")
    assert read_url(str(LAST), "label=blue&truncation=7e-1&truncation_kind=scaled").images == wanted
    values = {"label": "blue", "truncation": 0.7, "truncation_kind": "scaled"}
    assert read({"seed": LAST, **values}).images == read({"seed": str(LAST), **values}).images == wanted


def test_each_seed_has_its_own_class_unless_one_is_asked_for() -> None:
    backend = generator(("a", "b", "c"))
    seeds = [LAST, 5, 0, 2**53 + 1]
    scattered = choose(Request(seeds=tuple(seeds)), backend)
    assert scattered.labels is not None
    assert scattered.labels.tolist() == [seed % 3 for seed in seeds]
    assert scattered.numbers.tolist() == seeds
    last = choose(Request(n=2, seed=LAST - 1), backend)
    assert last.numbers.tolist() == [LAST - 1, LAST]
    assert choose(Request(seeds=(4, 5), label="b"), backend).labels.tolist() == [1, 1]  # type: ignore[union-attr]
    way = choose(Request(interpolate=(5, 1), steps=3), backend)
    assert way.labels.tolist() == [2, 2, 2]  # type: ignore[union-attr]  # of its first end
    assert choose(Request(seeds=(4, 5)), generator(None)).labels is None


seeds = st.one_of(st.integers(0, LAST), st.integers(0, LAST).map(str))
odd = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(seeds, max_size=3))
near = st.fixed_dictionaries(
    {},
    optional={
        "seed": seeds | odd,
        "n": st.integers(0, 300) | st.just(10_001) | odd,
        "seeds": st.lists(seeds, max_size=4) | odd,
        "interpolate": st.lists(seeds, min_size=1, max_size=3) | odd,
        "steps": st.integers(0, 300) | odd,
        "label": st.sampled_from([*CLASSES, "green"]) | odd,
        "truncation": st.floats(0, 11) | odd,
        "truncation_kind": st.sampled_from(["truncated", "scaled", ""]) | odd,
        "format": st.sampled_from([*FORMATS, "gif"]) | odd,
        "x": odd,
    },
)
anything = st.recursive(odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(near | anything)
def test_whatever_is_sent_is_read_or_refused_clearly(value: Any) -> None:
    try:
        asked = read(value)
    except Refusal as refusal:
        check_clear(refusal)
    else:
        chosen = choose(asked.images, generator())
        assert 1 <= chosen.count <= most_of(asked.format, LIMITS)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=40))
def test_whatever_bytes_are_sent_are_refused_clearly(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        of_json(text, generator().metadata, LIMITS)
    check_clear(caught.value)


def whole_floats(value: Any) -> bool:
    """Whether there is a 1.0 in it, which is an integer to JSON Schema."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return (isinstance(value, float) and value.is_integer()) or any(map(whole_floats, inner))


def finite(value: Any) -> bool:
    """Whether JSON has all of it."""
    try:
        return bool(json.dumps(value, allow_nan=False))
    except ValueError:
        return False


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True)
@given(near.filter(lambda value: not whole_floats(value) and finite(value)))
def test_the_document_takes_a_body_where_the_server_does(value: Any) -> None:
    metadata = generator().metadata
    schema = {"anyOf": bodies(metadata, LIMITS), "components": {"schemas": parts(metadata)}}
    taken = jsonschema_rs.validator_for(schema).is_valid(value)
    why = refused(value)
    # what a schema cannot say
    assert taken == (why is None) or "2^63 - n" in str(why) or "a tar" in str(why)
