"""Every command in README.md is run somewhere, and every option in it exists."""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

# The command as README.md has it, without its comment → the script that has it as a line, or the test of it.
BENCH = "tests/test_bench.py::"
CLI = "tests/test_cli.py::"
SCRIPTS = "tests/test_bench_scripts.py::"
EVAL = "tests/test_eval.py::"
FIDELITY = "tests/test_fidelity.py::"
TENSORRT = "tests/test_tensorrt.py::"
DOCTOR = "tests/test_doctor.py::"
STRANGER = "tests/test_stranger.py::"
PRIVACY = "tests/test_privacy.py::"
HAIR = "tests/test_conditional.py::test_four_of_five_samples_have_the_hair_that_was_asked_for"
SAMPLE = "tests/test_sample_options.py::"
PACKAGING = "tests/test_packaging.py::"
ROAD = "tests/test_road.py::test_three_commands_from_scans_to_images"
DEMO = "tests/test_road.py::test_the_demo_makes_everything_and_is_quick_the_second_time"
RUN_BY: dict[str, str] = {
    "bash scripts/quickstart.sh": "tests/test_scripts.py::test_quickstart_ends_with_a_report",
    "bash scripts/test.sh": ".ci/run",
    'pip install ".[onnx-cpu]" -c constraints.txt': PACKAGING + "test_a_slim_install_is_small_and_has_no_torch",
    "python scripts/bench_contention.py": SCRIPTS
    + "test_the_contention_benchmark_measures_each_case_beside_its_neighbours",
    "python scripts/bench_data.py": SCRIPTS + "test_the_data_benchmark_counts_what_it_drew",
    "python scripts/bench_sampling.py": SCRIPTS + "test_the_sampling_benchmark_measures_every_part",
    "python scripts/bench_training.py": SCRIPTS + "test_the_training_benchmark_measures_every_case",
    "wgan bench": BENCH + "test_the_newest_runs_artifacts_are_measured",
    "wgan bench --backends onnx --batch-sizes 64 --at-least 400": BENCH
    + "test_the_gate_holds_where_every_artifact_is_fast_enough",
    "wgan demo": DEMO,
    "wgan eval --backend trt --inception-weights weights.pth": CLI
    + "test_asking_for_cuda_where_there_is_none_never_falls_back",
    "wgan eval --model generator.fp16.onnx --data photos": EVAL
    + "test_an_artifact_is_measured_with_the_weights_of_a_file",
    "wgan eval -n 10000": EVAL + "test_without_weights_there_is_swd_and_one_line_that_says_why",
    "wgan doctor": DOCTOR + "test_the_text_fits_80_columns_but_for_commands",
    "wgan doctor --backend onnx --device cuda": DOCTOR + "test_asking_for_a_backend_decides_the_exit_code",
    "wgan export --format all": ROAD,
    'wgan export --format all --data-name "public set"': PRIVACY + "test_an_export_can_name_the_data_anew",
    "wgan export --format onnx": CLI + "test_export_writes_beside_the_run",
    "wgan export --format onnx --precision fp16": CLI + "test_export_writes_beside_the_run",
    "wgan export --format onnx --output uint8": "tests/test_pixels.py::test_pixels_on_the_command_line",
    "wgan export --format torchscript --precision bf16": "tests/test_reduced.py::test_bf16_on_the_command_line",
    "wgan sample --backend torch --precision bf16 -n 64": "tests/test_reduced.py::test_bf16_on_the_command_line",
    "wgan export --format torchscript --precision auto": "tests/test_auto_precision.py"
    "::test_export_makes_what_is_faster_of_each_format",
    "wgan sample --backend torch --precision auto -n 64": "tests/test_auto_precision.py"
    "::test_sample_takes_what_is_faster_and_says_so",
    "wgan train precision=auto": "tests/test_auto_precision.py"
    "::test_a_run_keeps_what_it_chose_and_is_the_run_of_that_precision",
    "wgan sample -n 64 --threads 4": "tests/test_onnx_backend.py::test_threads_and_providers_on_the_command_line",
    "wgan sample -n 64 --provider tensorrt": "tests/test_onnx_backend.py"
    "::test_threads_and_providers_on_the_command_line",
    "wgan export --format triton": "tests/test_triton.py::test_the_command_makes_a_repository_of_the_proven_file",
    "wgan sample -n 64 --truncation 0.7": SAMPLE + "test_a_png_says_how_it_was_truncated",
    "wgan sample --interpolate 3 8 --steps 48 --out way.webp": SAMPLE
    + "test_an_interpolation_is_a_strip_a_film_or_a_folder",
    "wgan sample --latents z.npy --out own.npz": SAMPLE + "test_latents_of_ones_own_make_images_numbered_from_0",
    "wgan sample -n 1000000 --shard-size 10000 --out faces.tar": SAMPLE + "test_shards_on_every_backend",
    "wgan sample -n 1000000 --shard-size 10000 --out faces.tar --shard 2/8": SAMPLE + "test_shards_on_every_backend",
    "wgan sample --backend onnx -n 64 --model generator.onnx": PACKAGING + "test_a_slim_install_samples",
    "wgan sample -n 64 --model theirs.onnx": STRANGER + "test_a_strangers_generator_makes_the_images_of_its_seeds",
    "wgan sample --backend trt -n 64": CLI + "test_asking_for_cuda_where_there_is_none_never_falls_back",
    "wgan sample --backend trt --model generator.plan -n 64 --rebuild": TENSORRT + "test_rebuild_on_the_command_line",
    "wgan export --format trt --compute-capability 8.6,12.0": TENSORRT
    + "test_export_for_gpus_that_are_not_here_on_the_command_line",
    "wgan sample -n 1000 --seed 5000 --out images.npy": CLI + "test_sample_writes_arrays",
    "wgan train conditional=true": HAIR,
    "wgan sample --label blue -n 64": HAIR,
    "wgan train --config demo progressive=true attention=16 phase_images=5000": CLI + "test_options_are_words",
    "torchrun --nproc-per-node 8 -m wgan -- train --data photos --run runs/photos": (
        "tests/test_distributed.py::test_torchrun_starts_a_lost_run_again_from_its_last_checkpoint"
    ),
    "wgan train": CLI + "test_train_without_options_is_the_documents_preset_on_faces",
    "wgan train --config demo steps=200": CLI + "test_train_without_options_is_the_documents_preset_on_faces",
    "wgan train --data photos": ROAD,
    "wgan train --dry-run": CLI + "test_dry_run_shows_the_cost_and_makes_nothing",
    "wgan train --inception-weights weights.pth inception_every=2000": FIDELITY
    + "test_a_run_from_the_command_line_uses_the_file",
    "wgan train inception_every=2000": FIDELITY + "test_without_weights_one_line_says_so_and_swd_chooses",
    'wgan train --data photos data_name="public set"': PRIVACY
    + "test_of_a_run_nothing_but_its_settings_names_a_folder",
    'wgan train --resume data_name="public set" steps=50000': PRIVACY
    + "test_a_run_that_goes_on_can_name_the_data_anew",
    "wgan train --resume": CLI + "test_ctrl_c_saves_first_and_the_run_goes_on",
    "wgan verify": ROAD,
}


def commands(markdown: str) -> list[str]:
    """The command lines of the fenced bash and console blocks, without prompts, comments and line breaks."""
    found = []
    for language, block in re.findall(r"^ *```(bash|console)\n(.*?)^ *```", markdown, re.DOTALL | re.MULTILINE):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            prompted = line.strip().startswith("$ ")
            command = re.sub(r"(^|\s+)#\s.*$", "", line.strip().removeprefix("$ "))
            if command and (prompted or language == "bash"):
                found.append(command)
    return found


def problem_with(command: str, run_by: dict[str, str]) -> str | None:
    """Why this command cannot be said to be run anywhere; None if it can."""
    if command not in run_by:
        return f"`{command}` is run by nothing: add a test and its name to RUN_BY"
    file, _, test = run_by[command].partition("::")
    if not (ROOT / file).is_file():
        return f"`{command}`: there is no {file}"
    source = (ROOT / file).read_text("utf-8")
    if not test:
        lines = [line.strip() for line in source.splitlines()]
        return None if command in lines else f"`{command}`: {file} does not run it"
    names = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    return None if test in names else f"`{command}`: {file} has no {test}"


@cache
def help_of(subcommand: str) -> str:
    # Wide and plain, so that no option is cut or coloured in two.
    env = {**os.environ, "COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}
    main = "from wgan.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main, subcommand, "--help"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"wgan {subcommand} --help: {done.stderr}"
    return done.stdout


def unknown_options(command: str, help_text: str) -> list[str]:
    options = [word.split("=")[0] for word in shlex.split(command) if re.match(r"--?[a-zA-Z]", word)]
    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", help_text))
    return [option for option in options if option not in known]


def test_every_command_of_the_readme_is_run_by_a_test_or_by_ci():
    assert [problem for command in commands(README) if (problem := problem_with(command, RUN_BY))] == []


def test_the_options_of_every_wgan_command_in_the_readme_exist():
    if importlib.util.find_spec("wgan.cli") is None:
        pytest.skip("wgan.cli is not there yet")
    for line in commands(README):
        for command in re.split(r"\s(?:\|\|?|&&|;|>)\s", line):
            words = shlex.split(command)
            if words and Path(words[0]).name == "wgan" and len(words) > 1 and not words[1].startswith("-"):
                assert unknown_options(command, help_of(words[1])) == [], command


def test_commands_are_read_from_bash_and_console_blocks():
    text = """
```bash
# a comment
wgan train --data faces  # why
wgan export \\
  --format onnx
```
```console
$ wgan sample -n 64
64 images
```
```python
print()
```
"""
    assert commands(text) == ["wgan train --data faces", "wgan export --format onnx", "wgan sample -n 64"]


def test_a_command_that_nothing_runs_is_found():
    here = "tests/test_readme.py"
    run_by = {
        "a": f"{here}::test_a_command_that_nothing_runs_is_found",
        "b": f"{here}::test_none",
        "c": "tests/none.py::test",
        "set -euo pipefail": "scripts/test.sh",
        "d": "scripts/test.sh",
    }
    found = {command: problem_with(command, run_by) for command in [*run_by, "e"]}
    assert [command for command, problem in found.items() if problem] == ["b", "c", "d", "e"]


def test_an_option_that_the_help_does_not_have_is_found():
    text = "--backend TEXT  --seed INTEGER  -n INTEGER"
    assert unknown_options("wgan sample --backend=onnx -n 64 lr_g=-1", text) == []
    assert unknown_options("wgan sample --back onnx --seeds 4 -N 3", text) == ["--back", "--seeds", "-N"]


def test_the_tables_of_settings_and_files_are_the_codes() -> None:
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "scripts" / "readme_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.filled(README) == README, "run `python scripts/readme_tables.py`"
