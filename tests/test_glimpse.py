import pytest

from twotower.data import glimpse


def test_a_text_is_shown_by_its_beginning_on_one_line() -> None:
    assert glimpse.beginning("ab \n" * 1000) == ("ab " * 20).strip()


def test_texts_that_differ_early_are_shown_by_their_beginnings() -> None:
    assert glimpse.apart("in May " + "x" * 99, "in  June") == (f"in May {'x' * 53}", "in June")


def test_texts_that_differ_late_are_shown_where_they_part() -> None:
    alike = "word " * 20  # 100 characters; the last third of a window of 60 is shown before the difference
    assert glimpse.apart(f"{alike}in May", f"{alike}in\tJune") == (
        "... word word word word in May",
        "... word word word word in June",
    )


@pytest.mark.parametrize("text", ["", "a b", "word " * 100])
def test_equal_texts_are_shown_by_their_beginnings(text: str) -> None:
    assert glimpse.apart(text, text) == (glimpse.beginning(text), glimpse.beginning(text))


def test_a_difference_without_a_blank_before_it_is_shown_from_the_beginning() -> None:
    one, _ = glimpse.apart("x" * 100 + "a", "x" * 100 + "b")
    assert one == f"... {'x' * 60}"
