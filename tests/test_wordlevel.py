import re
from collections.abc import Sequence

import pytest

from twotower.model import wordlevel
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import PAD, SPECIAL, UNKNOWN, Vocab

pytest.importorskip("tokenizers")

TEXTS = [
    "", " ", "\n", "?! ...", "The cat sat.", "cat " * 9, "unknown unheard cat",
    "Zürich, №5: naïve café", "ÅNGSTRÖM Å Å ﬁne ｆｕｌｌ", "İstanbul ΟΔΟΣ Σ ΑΣ' ΑΣ'Α ΣΑΣ-ΣΑΣ",
    "привет МИР ёлка", "東京タワー は ㋿ 高い", "สวัสดี ภาษาไทย", "नमस्ते दुनिया", "مرحبا بالعالم", "שלום עולם",
    "한국어 텍스트", "🙂 emoji 👩‍👩‍👧 café\u0301", "<pad> <unk> X PAD x pad",
    "a\u200bb a\u00adb a'b a_b a1b", "\ufdd0 \uffff",
]  # fmt: skip
PATTERNS = [Tokenizer.pattern, r"\p{Han}|[\p{L}\p{M}\p{N}--\p{Han}]+", "[a-z0-9]+", r"\S+"]


def vocab_of(texts: Sequence[str], pattern: str) -> Vocab:
    """Every second word of the texts, and those that stand for something in the library's tokenizer."""
    words = Tokenizer(pattern).tokenize(texts).words[::2]
    return Vocab((*SPECIAL, *(word for word in words if word not in SPECIAL), "X", "PAD"))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_gets_our_ids(pattern: str) -> None:
    vocab = vocab_of(TEXTS, pattern)
    ours = vocab.encode(Tokenizer(pattern).tokenize(TEXTS), 4)
    (fast,) = wordlevel.build(Tokenizer(pattern), vocab, [4])
    for row, text in enumerate(TEXTS):
        assert fast.encode(wordlevel.LEAD + text, add_special_tokens=False).ids == ours[row].tolist(), text


def test_they_survive_the_librarys_own_file() -> None:
    from tokenizers import Tokenizer as Fast

    vocab = Vocab((*SPECIAL, "cat"))
    (fast,) = wordlevel.build(Tokenizer(), vocab, [3])
    again = Fast.from_str(fast.to_str())
    assert again.encode(" a CAT, a cat a").ids == [UNKNOWN, 2, UNKNOWN]
    assert again.encode(" ").ids == [UNKNOWN]
    assert again.get_vocab() == {"PAD": PAD, "<unk>": UNKNOWN, "cat": 2}


def test_each_limit_has_a_tokenizer_of_its_own() -> None:
    short, long = wordlevel.build(Tokenizer(), Vocab(SPECIAL), [1, 3])
    assert [len(fast.encode(" a b c d").ids) for fast in (short, long)] == [1, 3]


REFUSED = {
    r"\w+": r"finds other words in 'a\u200cb'",  # a word's letter to Rust, not to Oniguruma
    r"\p{sc=Greek}+": "invalid character property name",
    "[a-z~~b]+": "its ~~ cannot be written",
    r"[\p{L}--a-z]+": "its -- cannot be written",
    r"^\S+": "finds other words in",  # the space before each text
}


@pytest.mark.parametrize(("pattern", "said"), REFUSED.items())
def test_a_pattern_that_cannot_be_carried_over_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"pattern {pattern!r}: ")) as caught:
        wordlevel.build(Tokenizer(pattern), Vocab(SPECIAL), [4])
    assert said in str(caught.value)
    assert str(caught.value).endswith("; an export as safetensors takes any pattern")
