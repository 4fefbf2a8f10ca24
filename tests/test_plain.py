import pytest

from twotower.sweeps import plain


def test_a_number_without_a_dot_or_a_sign_is_a_number_and_is_spoken_of() -> None:
    content, remarks = plain.load("a: 1e-3\nb: [2E5, -.5e3]\nc: 1.0e-3\nd: '1e-3'\ne: 1e-3x\n")
    assert content == {"a": 0.001, "b": [2e5, -500.0], "c": 0.001, "d": "1e-3", "e": "1e-3x"}
    assert [remark.rpartition("; ")[2] for remark in remarks] == [
        "1.0e-3 is a number to both",
        "2.0e+5 is a number to both",
        "-.5e+3 is a number to both",
    ]
    assert remarks[1].startswith("line 2: 2E5 is a number here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a stands twice in one block; want one of them gone"),
        ("p: {a: 1, a: 2}", "line 1: a stands twice in one block"),
        ("a: [1", "not YAML: "),
        ("a: 1\n--- \nb: 2", "not YAML: expected a single document"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML: could not determine a constructor"),
        ("[" * 5000, "not "),
    ],
)
def test_what_is_not_plain_is_an_error_on_one_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="^" + says.replace("(", r"\(").replace("[", r"\[")) as caught:
        plain.load(text)
    assert "\n" not in str(caught.value)
