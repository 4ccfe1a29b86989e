"""The one way in which a documented command is made small enough to be run by a test: `smaller`, and `smaller_program`.

A command is first checked as it is written, so that a setting or an option that does not exist is found; then what
makes it long is replaced: settings of `wgan train`, counts, sizes and seconds of the others. Nothing else is changed,
but that `wgan bench` measures in the test's own process (the fixture `bench_in_this_process`).
"""

import ast
import shlex
from collections.abc import Sequence

from wgan.training.config import from_dict, load, parse_overrides

# What a command of `wgan train` and `wgan demo` is run with, whatever the page says.
SETTINGS = {
    "image_size": "16",
    "base_channels": "4",
    "batch_size": "4",
    "n_critic": "1",
    "faces_count": "64",
    "validate_images": "16",
    "sample_every": "2",
    "validate_every": "2",
    "checkpoint_every": "2",
    "log_every": "1",
    "phase_images": "1",
    "minibatch": "none",
    "progressive": "false",
    "attention": "0",
    "inception_every": "0",
    "inception_images": "16",
}
STEPS = "2"
API_OPTIONS = {"data", "preset", "run", "resume", "device", "progress"}  # parameters of `wgan.train` but its settings

# option → what is the most that a test takes of it
MOST = {"-n": 12, "--steps": 3, "--shard-size": 3, "--seconds": 0.05, "--at-least": 1, "--nproc-per-node": 2}


def smaller(command: str, steps_done: int = 0) -> list[str]:
    """The words to run in place of a documented command.

    Args:
        command: as the page has it, one line.
        steps_done: of the newest run, which a resumed one must go beyond.

    Raises:
        ConfigError: a setting that does not exist or cannot have this value.
    """
    words = shlex.split(command)
    if words[:2] in (["wgan", "train"], ["wgan", "demo"]) or ("train" in words and words[0] == "torchrun"):
        words = _small_training(words, steps_done)
    return _small_counts(words)


def smaller_program(text: str) -> str:
    """The program to run in place of a documented one: the same, with small networks and few steps.

    Raises:
        ConfigError: a setting of `wgan.train` that does not exist or cannot have this value.
    """
    program = ast.parse(text)
    for call in ast.walk(program):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "wgan.train":
            given = {word.arg: word for word in call.keywords if word.arg is not None}
            settings = {name: ast.literal_eval(given[name].value) for name in given.keys() - API_OPTIONS}
            preset = ast.literal_eval(given["preset"].value) if "preset" in given else "wgan-gp-64"
            from_dict(settings, base=load(preset))  # as it is written
            call.keywords = [given[name] for name in given if name in API_OPTIONS]
            small = parse_overrides([f"{name}={value}" for name, value in {**SETTINGS, "steps": STEPS}.items()])
            call.keywords += [ast.keyword(name, ast.Constant(value)) for name, value in small.items()]
    return ast.unparse(ast.fix_missing_locations(program))


def _small_training(words: list[str], steps_done: int) -> list[str]:
    asked = [word for word in words[2:] if _is_setting(word)]
    preset = words[words.index("--config") + 1] if "--config" in words else "wgan-gp-64"
    written = parse_overrides(asked)
    from_dict(written, base=load(preset))  # as it is written
    words = [word for word in words if word not in asked]
    kept = {name: word for word in asked if (name := word.partition("=")[0]) not in {*SETTINGS, "steps", "minutes"}}
    if "--resume" in words:  # a resumed run keeps its sizes
        return [*words, *kept.values(), f"steps={steps_done + 1}"]
    # what the page is about stays on, at a size that fits the small networks
    features = {
        "progressive": {"progressive": "true"},
        "attention": {"attention": "8"},
        "inception_every": {"inception_every": "2"},
        "minibatch": {"minibatch": "stddev"},
    }
    small = dict(SETTINGS)
    for name, value in features.items():
        if written.get(name):
            small |= value
    return [*words, *kept.values(), *(f"{name}={value}" for name, value in small.items()), f"steps={STEPS}"]


def _small_counts(words: Sequence[str]) -> list[str]:
    small = list(words)
    for place, word in enumerate(small[:-1]):
        if word in MOST and small[place + 1].replace(".", "").isdigit():
            small[place + 1] = str(min(MOST[word], type(MOST[word])(small[place + 1])))
        if word in ("--batch-size", "--batch-sizes"):
            small[place + 1] = "2"
    if small[:2] == ["wgan", "bench"]:
        small += [] if {"--batch-size", "--batch-sizes"} & set(small) else ["--batch-size", "2"]
        small += [] if "--seconds" in small else ["--seconds", "0.05"]
    return small


def _is_setting(word: str) -> bool:
    name = word.partition("=")[0]
    return "=" in word and name.isidentifier()
