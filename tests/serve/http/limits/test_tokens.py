"""The file of tokens, and what is said of a server that others reach."""

from pathlib import Path

import pytest

from wgan.serve.base.errors import ConfigError
from wgan.serve.http.limits.settings import Settings, settings_of
from wgan.serve.http.limits.tokens import cautions, read_tokens

GOOD = "0123456789abcdef-._~+/=="


def token_file(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "tokens.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_a_token_a_line_without_comments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"\ufeff# for the team\r\n{GOOD}\r\n\n  second-token-123456  \n#third-token-12345678\n"
    assert read_tokens(token_file(tmp_path, text)) == (GOOD, "second-token-123456")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no token"),
        ("# none\n\n", "holds no token"),
        (f"{GOOD}\nhunter2-secret\n", "line 2: .* at least 16"),
        ("with a blank in it-secret", "line 1"),
        ("with-ünicode-in-it-secret", "line 1"),
        (b"\xff\xfe\x00", "no text"),
        ("x" * ((1 << 20) + 1), "1,048,576 bytes"),
    ],
)
def test_a_file_without_good_tokens_is_one_line_without_the_token(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        read_tokens(token_file(tmp_path, content))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read .No such file"):
        read_tokens(tmp_path / "none.txt")


def test_a_file_that_all_may_read_is_said_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_tokens(token_file(tmp_path, GOOD, 0o644)) == (GOOD,)
    assert "chmod o-r" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "faces.example", "127.evil.example"])
def test_other_machines_are_not_let_in_by_oversight(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="--token-file FILE"):
        settings_of(None, False, host=host)
    assert settings_of(None, True, host=host).tokens == ()
    assert settings_of(token_file(tmp_path, GOOD), False, host=host).tokens == (GOOD,)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_decision(host: str) -> None:
    assert cautions(settings_of(None, False, host=host)) == []


def test_tokens_and_no_auth_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        settings_of(token_file(tmp_path, GOOD), True)


def test_what_is_open_is_said_aloud() -> None:
    (said,) = cautions(Settings(host="0.0.0.0"))
    assert "no token is asked for" in said
    (said,) = cautions(Settings(host="0.0.0.0", tokens=(GOOD,)))
    assert "TLS" in said
    assert GOOD not in said
    (said,) = cautions(Settings(allowed_hosts=("*",)))
    assert "DNS rebinding" in said
