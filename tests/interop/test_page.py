"""The page of the runtimes says what the tests assert."""

from tests.interop.page import PAGE, filled


def test_the_pages_table_is_what_the_tests_assert() -> None:
    text = PAGE.read_text("utf-8")
    assert filled(text) == text, "run `python -m tests.interop.page`"
