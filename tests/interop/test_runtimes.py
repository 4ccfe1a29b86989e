"""Six kinds of generators in every runtime: the images that PyTorch makes, or the refusal that the page tells of."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from apart import Missing

from tests.interop.cases import KINDS, Case, make_case
from tests.interop.drive import BATCHES
from tests.interop.runtimes import RUNTIMES, Answers, Refusal, converted, slimmed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return [make_case(kind, tmp_path_factory.mktemp("kind")) for kind in KINDS]


@pytest.fixture(scope="module")
def ask(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Answers]:
    """What a runtime makes of all of them, asked once."""

    @cache
    def asked(name: str) -> Answers | Missing:
        try:
            return RUNTIMES[name].answer(cases, tmp_path_factory.mktemp("runtime"))
        except Missing as missing:
            return missing

    def answer(name: str) -> Answers:
        found = asked(name)
        if isinstance(found, Missing):
            pytest.skip(str(found))
        return found

    return answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_makes_pytorchs_images(
    name: str, kind: str, cases: list[Case], ask: Callable[[str], Answers]
) -> None:
    answers, runtime = ask(name), RUNTIMES[name]
    (case,) = (each for each in cases if each.kind == kind)
    bound = runtime.bounds[kind]
    if isinstance(bound, Refusal):
        assert bound.said in answers.refused[kind]
        return
    assert kind not in answers.refused, answers.refused[kind]
    assert case.images.std() > (10 if kind == "uint8" else 0.1)  # grey images would hide differences
    for n in BATCHES:
        found, wanted = answers.images[kind, n], case.images[:n]
        assert (str(found.dtype), found.shape) == (runtime.dtypes.get(kind, str(wanted.dtype)), wanted.shape)
        assert np.abs(found.astype(np.float64) - wanted).max() <= bound


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tool", [converted, slimmed])
def test_a_tool_keeps_what_the_file_says_of_itself(tool: Callable[[str], object], kind: str, cases: list[Case]) -> None:
    import onnx

    (case,) = (each for each in cases if each.kind == kind)
    before, bytes_before = onnx.load(case.onnx), case.onnx.read_bytes()
    after = tool(str(case.onnx))
    assert [(entry.key, entry.value) for entry in after.metadata_props] == [  # type: ignore[attr-defined]
        (entry.key, entry.value) for entry in before.metadata_props
    ]
    assert case.onnx.read_bytes() == bytes_before
