import pytest

from twotower.data.markup import plain, sentences
from twotower.data.prose import summary_and_body

REST = "The rest says more about it, at such a length that it is twelve words."

GOOGLE = """Average the values.

    The mean is *accurate* but slow; see :func:`~statistics.fmean` for speed::

        mean([1, 3]) == 2

    Args:
        values (list[float]): the data to average, which
            must not be empty.
        weights (Tensor, optional): one of each value. Default: ``None``

    Returns:
        Tensor: the mean of the values.

    Raises:
        ValueError: if `values` is empty.

    .. note:: It is not robust.
    .. versionadded:: 3.4
        Not said here.

    Example::

        >>> mean([1, 3])
        2
    """

NUMPY = """
    mean(values, weights=None) -> float

    Average the values.

    Parameters
    ----------
    values : array_like
        The data to average, which
        must not be empty.
    weights : array_like, optional
        One of each value.

        .. versionadded:: 1.2

    Returns
    -------
    m : float
        The mean of the values.

    See Also
    --------
    median : the middle.

    Notes
    -----
    It is not robust [1]_.

    References
    ----------
    .. [1] Tukey, 1960.

    Examples
    --------
    >>> mean([1, 3])
    2
    """

SPHINX = """Average the values.

    The mean is slow.

    :param values: the data to average, which
        must not be empty.
    :type values: list
    :return: the mean of the values.
    :raises ValueError: if it is empty.
    """

STDLIB = """Average the values.

    Arguments:

    values -- the data to average, which
              must not be empty
    weights -- one of each value

    >>> mean([1, 3])
    2

    Typical use:

        import statistics
        m = statistics.mean(x)
    """


@pytest.mark.parametrize(
    ("doc", "body"),
    [
        (
            GOOGLE,
            "The data to average, which must not be empty. One of each value. Default: None. "
            "The mean of the values. It is not robust.",
        ),
        (
            NUMPY,
            "The data to average, which must not be empty. One of each value. The mean of the values. "
            "It is not robust.",
        ),
        (SPHINX, "The mean is slow. The data to average, which must not be empty. The mean of the values."),
        (STDLIB, "The data to average, which must not be empty. One of each value."),
    ],
    ids=["google", "numpy", "sphinx", "stdlib"],
)
def test_every_style_of_docstring_becomes_prose(doc, body):
    found = summary_and_body(doc)
    assert found is not None
    assert found[0] == "Average the values"
    assert found[1].removeprefix("The mean is accurate but slow; see fmean for speed: ") == body


def test_the_first_sentence_is_the_summary_and_the_paragraph_goes_on():
    assert summary_and_body(f"Return the mean. {REST}") == ("Return the mean", REST)


def test_the_summary_is_not_said_again():
    assert summary_and_body(f"Return the mean.\n\n{REST} Return the mean.") == ("Return the mean", REST)
    assert summary_and_body(f"Return the mean.\n\nReturn the mean of it. {REST}") is None


@pytest.mark.parametrize(
    "doc",
    [
        "",
        "   \n  ",
        ">>> mean([1])",
        "Return the mean of some values, and no more.",
        f"Two words.\n\n{REST}",
        f"{'word ' * 31}.\n\n{REST}",
        "Return the mean.\n\nEleven words are one word too few for a body here.",
        f"Deprecated alias of mean.\n\n{REST}",
        f"Available options are these:\n\n{REST}",
        f"Return a[i] for all of i.\n\n{REST}",
    ],
)
def test_what_has_no_summary_or_no_body_is_left_out(doc):
    assert summary_and_body(doc) is None


def test_three_and_thirty_words_are_summaries():
    for count in (3, 30):
        summary = "Word" + " word" * (count - 1)
        assert summary_and_body(f"{summary}.\n\n{REST}") == (summary, REST)


@pytest.mark.parametrize(
    "block",
    [
        "    x = mean([1, 3])\n    print(x)",
        "+---+---+\n| a | b |\n+---+---+",
        "Widget  Class\n------  -----\nlist    HList",
        ".. math::\n\n    \\sum_i x_i",
        ".. _target: https://a.b",
        ".. code-block:: python\n\n    mean([1])\n\n    and more",
        "Usage::\n\n    words that look like prose",
        "mean(values, weights=None) -> float",
    ],
)
def test_blocks_that_are_no_prose_go(block):
    assert summary_and_body(f"Return the mean.\n\n{block}\n\n{REST}") == ("Return the mean", REST)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        (":class:`~torch.nn.Linear` layer", "Linear layer"),
        (":py:meth:`text <a.b>` here", "text here"),
        ("**bold** and *weak* and _this_", "bold and weak and this"),
        ("f(*args, **kwargs) and a**b", "f(*args, **kwargs) and a**b"),
        ("the ``__all__`` name", "the __all__ name"),
        ("a `quoted' word", "a quoted word"),
        ("see https://a.b/c?d=1, and (http://e.f) too", "see and too"),
        ("[a link](https://a.b) in Markdown", "a link in Markdown"),
        ("width :math:`\\gamma` of :math:`\\frac{1}{2}` all", "width gamma of all"),
        ("default {common_args} here", "default here"),
        ("half \ud800 a pair", "half ? a pair"),
    ],
)
def test_markup_inside_a_line_goes(marked, text):
    assert plain(marked) == text


def test_abbreviations_end_no_sentence():
    assert sentences("Use it, i.e. Call it. Then (cf. Knuth) stop! Yes") == [
        "Use it, i.e. Call it.",
        "Then (cf. Knuth) stop!",
        "Yes",
    ]
