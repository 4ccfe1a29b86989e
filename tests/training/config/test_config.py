"""Settings: bounds, names, files, and what a resumed run may change."""

from pathlib import Path

import pytest

from wgan.cli import main
from wgan.serve.base.errors import ConfigError
from wgan.training import config
from wgan.training.config import Config, changed_on_resume, from_dict, load, parse_overrides
from wgan.training.config.colour import rgb


def test_the_preset_is_the_seed_documents_table() -> None:
    preset = load("wgan-gp-64")
    assert (preset.lr_g, preset.lr_d, preset.beta1, preset.beta2) == (1e-4, 1e-4, 0.0, 0.9)
    assert (preset.batch_size, preset.n_critic, preset.lambda_gp, preset.latent_dim) == (64, 5, 10.0, 128)
    assert (preset.image_size, preset.base_channels) == (64, 64)


@pytest.mark.parametrize("name", config.presets())
def test_every_preset_loads(name: str) -> None:
    assert isinstance(load(name), Config)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"batchsize": 3}, "did you mean batch_size?"),
        ({"qwxyz": 3}, "known: data"),
        ({"batch_size": 0}, "batch_size=0 is outside its range, 1 to 65,536"),
        ({"image_size": 48}, "image_size=48 is not one of 8, 16, 32, 64, 128, 256"),
        ({"lr_g": "fast"}, "lr_g='fast' is not a number"),
        ({"lr_g": float("nan")}, "lr_g=nan is not a finite number"),
        ({"batch_size": 2.5}, "batch_size=2.5 is not a whole number"),
        ({"batch_size": True}, "batch_size=True is not a whole number"),
        ({"batch_size": None}, "batch_size=None is not a whole number"),
        ({"lambda_gp": [1]}, r"lambda_gp=\[1\] is not a number"),
        ({"fit": "stretch"}, "fit=stretch is not one of crop, squash"),
        ({"data": ""}, "data is empty"),
        ({"channels": 2}, "channels=2 is not one of 1, 3, 4"),
        ({"background": "paper"}, "background='paper' is no colour: give a name such as white, black or steelblue, or"),
        ({"background": ""}, "background is empty"),
        ({"background": None}, "background has no value; in YAML text that begins with # is a comment"),
        *(({"background": text}, "is no colour: give") for text in ("#12345", "#1234567", "#ggg000", "rgb(1,2,3)")),
        ({"background": "black", "channels": 4}, "background=black is never used with channels=4, which keeps"),
        ({3: 4}, "unknown setting 3"),
        ({"data_name": ""}, "data_name is empty"),
        ({"data_name": " "}, "data_name=' ' is blank: give a name of at most 100 characters, without folders"),
        ({"data_name": "x" * 101}, "is longer than 100 characters: give a name"),
        *(({"data_name": name}, "is a path: give") for name in ("/a/b", "a/b", "a/", r"a\b", "C:photos", "~me", "..")),
        *(
            ({"data_name": name}, "holds characters that do not print: give")
            for name in ("a\nb", "a\x1b[1m", "a\u202eb")
        ),
        ({"data_name": "faces", "data": "photos"}, "data_name=faces is what the built-in dataset is called"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_allowed(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")) as caught:
        from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["public set", "CelebA: aligned", "2024", "猫の写真", "e.g. cats ~ dogs", "x" * 100])
def test_data_may_have_any_name_that_is_one(name: str) -> None:
    assert from_dict(parse_overrides([f"data_name={name}"])).data_name == name
    assert from_dict({"data_name": "faces"}).data_name == "faces"


@pytest.mark.parametrize(
    ("text", "colour"),
    [("white", (255, 255, 255)), ("SteelBlue", (70, 130, 180)), ("#0a10FF", (10, 16, 255)), ("black", (0, 0, 0))],
)
def test_a_background_is_a_name_or_six_digits(text: str, colour: tuple[int, int, int]) -> None:
    assert rgb(from_dict(parse_overrides([f"background={text}"])).background) == colour


def test_a_run_of_before_there_was_a_background_goes_on_and_not_on_another() -> None:
    saved = Config().to_dict()
    del saved["background"]
    changed_on_resume(from_dict(saved), Config(), "ANEW")
    with pytest.raises(ConfigError, match="cannot become black: start a new run: `ANEW`"):
        changed_on_resume(from_dict(saved), Config(background="black"), "ANEW")


def test_a_path_as_the_datas_name_ends_a_command_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "data_name=/home/me/photos"]) == 2
    assert capsys.readouterr().err == (
        "wgan: data_name='/home/me/photos' is a path: give a name of at most 100 characters, without folders\n"
    )


def test_numbers_are_read_however_they_are_written() -> None:
    found = from_dict(parse_overrides(["lr_g=1e-4", "steps=1e3", "lambda_gp=10", "batch_size=32"]))
    assert (found.lr_g, found.steps, found.lambda_gp, found.batch_size) == (1e-4, 1000, 10.0, 32)
    assert type(found.steps) is int
    assert type(found.lambda_gp) is float


def test_a_path_stays_the_text_that_was_written(tmp_path: Path) -> None:
    assert parse_overrides(["data=2024", "init_critic=[x]"]) == {"data": "2024", "init_critic": "[x]"}
    (tmp_path / "c.yaml").write_text("data: 0123\ninit_critic: 2024-01-31\ninit_generator: yes\nsteps: 0x10\n")
    found = load(str(tmp_path / "c.yaml"))
    assert (found.data, found.init_critic, found.init_generator, found.steps) == ("0123", "2024-01-31", "yes", 16)


@pytest.mark.parametrize("word", ["steps", "steps 3", "steps={"])
def test_a_word_that_is_no_setting_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="steps"):
        parse_overrides([word])


def test_the_yaml_of_a_config_loads_as_the_same(tmp_path: Path) -> None:
    made = from_dict({"lr_g": 3e-5, "steps": 7, "data": "some folder"})
    path = tmp_path / "config.yaml"
    path.write_text(made.to_yaml())
    assert load(str(path)) == made


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "line 1: a list or a mapping, where a single value must be"),
        ("- 1", "line 1 is something else"),
        ("lr: 1", "did you mean lr_"),
        ("\0", "not YAML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_presets() -> None:
    with pytest.raises(ConfigError, match="presets are demo, faces-64, wgan-gp-64"):
        load("nowhere.yaml")


def test_a_resumed_run_keeps_its_networks_and_may_train_longer() -> None:
    saved = Config()
    config.changed_on_resume(saved, saved.replace(steps=99, lr_g=5e-5), "ANEW")
    with pytest.raises(ConfigError, match="base_channels was 64 in this run and cannot become 32"):
        config.changed_on_resume(saved, saved.replace(base_channels=32), "ANEW")


def test_every_setting_says_what_it_is() -> None:
    for field in config.FIELDS.values():
        assert field.metadata["help"]
        bounded = field.metadata["low"] is not None or field.metadata["choices"] or field.type in (str, bool)
        assert bounded, field.name
