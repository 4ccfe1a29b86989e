"""The generated tables are what the code says."""

import importlib.util

from tests.documents.pages import ROOT


def test_the_tables_of_settings_and_files_are_the_codes() -> None:
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "scripts" / "readme_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert tables.filled(readme) == readme, "run `python scripts/readme_tables.py`"
