"""The scripts that the README starts with."""

import json
import subprocess
from pathlib import Path

import pytest

from tests import ROOT


@pytest.mark.slow
def test_quickstart_ends_with_a_report(tmp_path: Path) -> None:
    tiny = ["image_size=32", "base_channels=4", "faces_count=64", "batch_size=8", "steps=2", "validate_images=32"]
    command = ["bash", "scripts/quickstart.sh", "--run", str(tmp_path / "demo"), "--json", *tiny]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["passed"] is True
    assert Path(made["report"]).is_file()
    assert made["report"].startswith(str(tmp_path))
