"""`wgan settings` explains every setting from the metadata that checks it."""

import json
from typing import Any

import pytest

from wgan.cli import main
from wgan.training.config import FIELDS, Config, from_dict, load, presets
from wgan.training.config.groups import GROUPS, json_schema


def test_every_setting_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(FIELDS)


def test_all_settings_are_listed_with_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{group[0].upper()}{group[1:]}:\n" in f"\n{shown}" for group in GROUPS)
    assert all(f"  {name}=" in shown for name in FIELDS)
    assert "conditional=false" in shown


def test_one_setting_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "n_critic"]) == 0
    shown = capsys.readouterr()
    lines = {line.split("  ")[1].strip(): line for line in shown.out.splitlines() if line.startswith("  ")}
    assert lines["default"].split()[-1] == "5"
    assert "1 to 100" in lines["range"]
    assert "may change it" in lines["resumed run"]
    assert "1 in demo; 2 in faces-64" in lines["presets"] or "2 in faces-64" in lines["presets"]
    assert shown.err == "next: wgan train n_critic=5\n"
    assert main(["settings", "image_size", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["resumed_run_may_change_it"] is False
    assert facts["presets"] == {preset: load(preset).image_size for preset in presets()}


@pytest.mark.parametrize("words", ["--batch-size", "batch_size=32", "batch-size"])
def test_a_name_may_be_spelt_as_it_was_tried(capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert main(["settings", "--", words]) == 0
    assert capsys.readouterr().out.startswith("batch_size\n")


def test_an_unknown_name_gets_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "batchsize"]) == 2
    assert "there is no setting batchsize: did you mean batch_size" in capsys.readouterr().err
    assert main(["settings", "steps", "--schema"]) == 2
    assert "leave out steps" in capsys.readouterr().err


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """What the few words of JSON Schema that are used say of a value."""
    kinds = {"integer": int, "number": (int, float), "string": str, "boolean": bool}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    right = any(isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in types)
    return (
        right
        and ("enum" not in schema or value in schema["enum"])
        and ("minimum" not in schema or schema["minimum"] <= value <= schema["maximum"])
    )


def test_the_schema_takes_what_the_program_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == json.loads(json.dumps(json_schema()))
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(FIELDS)
    for config in (Config(), *map(load, presets())):
        assert all(accepts(schema["properties"][name], value) for name, value in config.to_dict().items())
    for name, value in {"steps": 0, "image_size": 48, "precision": "fp8", "conditional": "maybe", "lr_g": 2.0}.items():
        assert not accepts(schema["properties"][name], value)
    # the bare words on and off, as YAML 1.1 has them
    for name, value in {"compile": False, "cuda_graphs": False}.items():
        assert accepts(schema["properties"][name], value)
        assert getattr(from_dict({name: value}), name) == "off"
