"""One rule for every path: what is one, what is a stream, and what is refused in a line."""

from pathlib import Path

import pytest

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import STDOUT, named_path, not_a_path, option


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_home_is_meant_by_its_sign_and_by_its_users_name(home: Path) -> None:
    assert named_path("~", "--out") == home
    assert named_path("~/a/b.npy", "--out") == home / "a" / "b.npy"
    assert named_path(Path("~/a"), "path") == home / "a"
    assert named_path("~root/x", "--out") == Path("~root/x").expanduser()


@pytest.mark.parametrize(
    "name", ["a~b", "./~", "a/~/b", "~~".replace("~", "x"), ".", "..", "C:\\x", " a", "s3:", "x:/y"]
)
def test_other_names_are_as_they_are(name: str) -> None:
    assert named_path(name, "--out") == Path(name)


def test_a_user_without_a_home_and_a_home_without_a_user_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--out ~nobody-here/x: there is no user 'nobody-here' here; .* ./~nobody"):
        named_path("~nobody-here/x", "--out")

    def unknown(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(ConfigError, match=r"^data ~/x: this user has no home; .* is written ./~/x$"):
        named_path("~/x", "data")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "'' is empty: name a path"),
        (" \t", "is blank: name a path"),
        ("a\0b", "has a NUL"),
        ("-", "- is no stream here: name a file"),
        ("s3://bucket/x.npy", "is an address, and what is meant here is a file"),
        ("GS://bucket/x", "is an address"),
        ("https://example.org/x", "is an address"),
        ("hf+datasets://x", "is an address"),
        ("file:///tmp/x", "leave file:// out"),
        (Path("s3://bucket/x.npy"), "is an address"),  # which has one slash by now
        ("a" * 300, "File name too long; name another path"),
        ("a/" * 3000, "too long"),
        ("\ud800", "characters that no name of a file can have"),
    ],
)
def test_what_is_no_path_is_refused_in_a_line(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^--out .*{says}") as caught:
        named_path(name, "--out")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_links_in_a_circle_are_no_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "x"):
        with pytest.raises(ConfigError, match="Too many levels of symbolic links; name another path"):
            named_path(path, "--out")


def test_a_dash_is_a_stream_where_one_is_taken_and_a_file_behind_a_dot() -> None:
    assert named_path("-", "--out", dash=STDOUT) == STDOUT
    assert named_path("./-", "--out", dash=STDOUT) == Path("-")


def test_a_slash_at_the_end_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "there.npy").mkdir()
    with pytest.raises(ConfigError, match="file/: Not a directory; name another path"):
        named_path(f"{tmp_path}/file/", "--run")
    with pytest.raises(ConfigError, match="new/ ends as a folder's name does: for a file leave the last slash out"):
        named_path(f"{tmp_path}/new/", "--out", file=True)
    assert named_path(f"{tmp_path}/new/", "--run") == tmp_path / "new"
    assert named_path(f"{tmp_path}/there.npy/", "--out", file=True) == tmp_path / "there.npy"
    read = option("--out", endings=[".npy"])
    assert read(f"{tmp_path}/new.d/") == tmp_path / "new.d"
    with pytest.raises(ConfigError, match="ends as a folder's name does"):
        read(f"{tmp_path}/new.NPY/")
    assert named_path("/", "--out", file=True) == Path("/")


def test_a_default_is_not_read_again() -> None:
    assert option("--out")(Path("~")) == Path("~")


def test_settings_are_looked_at_without_the_machine() -> None:
    """A run's settings are read where its owner's home is not."""
    assert not_a_path("~nobody-here/photos") is None
