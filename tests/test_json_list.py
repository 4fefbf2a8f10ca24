import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.data import json_list
from twotower.data.json_list import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    values=st.lists(VALUES, max_size=6),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 9),
)
def test_values_come_whole_wherever_the_chunks_end(tmp_path_factory, values, indent, ascii_only, chunk):
    file = tmp_path_factory.mktemp("json") / "a.json"
    file.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "CHUNK", chunk)
        assert list(json_list.read(file)) == list(enumerate(values, start=1))


def test_only_the_value_that_is_read_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(json_list, "CHUNK", 64)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(["x" * 20] * 1000))  # 24,000 characters
    text = JsonText(file, "a list")
    text.skip("[")
    held = []
    for _ in range(999):
        text.value()
        text.skip(",")
        held.append(len(text.held))
    assert max(held) < 300


def test_a_gzipped_list_with_a_byte_order_mark_reads_the_same(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'\xef\xbb\xbf [{"a": 1}]\n'))
    assert list(json_list.read(tmp_path / "a.json.gz")) == [(1, {"a": 1})]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"a": 1},\n {"b" 1}]', ":2: not JSON: Expecting ':' delimiter, want a list of objects"),
        (b'[{"a": 1}\n 3]', ":2: not JSON: Expecting ',', want"),
        (b"[1,\n2]\nx", ":3: not JSON: Extra data, want"),
        (b"[1,\n2", ":2: not JSON: Expecting ',', want"),
        (b'[\n\n"a', ":3: not JSON: Unterminated string starting at, want"),
        (b'[1,\n\n"\xff"]', ":3: byte 0xff is not UTF-8"),
        (b'["a", "\xc3', ":1: byte 0xc3 is not UTF-8"),
        (b'{"a": 1}', ":1: not JSON: Expecting '[', want"),
        (b"", ":1: not JSON: Expecting '[', want"),
        (b"[" * 100_000, ":1: not JSON: it cannot be read"),
        (b"[" + b"9" * 5000 + b"]", ":1: not JSON: it cannot be read"),
    ],
)
def test_a_broken_list_is_an_error_with_file_and_line(tmp_path, monkeypatch, chunk, data, said):
    monkeypatch.setattr(json_list, "CHUNK", chunk if len(data) < 100 else 1 << 20)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.json") as caught:
        list(json_list.read(tmp_path / "a.json"))
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}{said}")
