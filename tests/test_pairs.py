import csv
import gzip
import io
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.config import OnBad, Pairs, Triplets
from twotower.data import pairs, rows
from twotower.data.collection import Collection

TRIPLETS = [
    {
        "query_id": f"q{number}",
        "query": f"who lives in {place}",
        "positive_id": f"d{number}",
        "title": place.title(),
        "positive": f"The owl of the {place}.",
        "negative_id": f"n{number % 2}",
        "negative": f"No animal at all, number {number % 2}.",
        "split": split,
    }
    for number, (place, split) in enumerate(
        [("barn", "train"), ("tower", "train"), ("oak", "validation"), ("ruin", "test")]
    )
]
EXPECTED = Collection.from_dicts(
    {
        **{row["positive_id"]: {"title": row["title"], "text": row["positive"]} for row in TRIPLETS},
        **{row["negative_id"]: row["negative"] for row in TRIPLETS},
    },
    {row["query_id"]: row["query"] for row in TRIPLETS},
    {
        "train": {"q0": {"d0": 1, "n0": 0}, "q1": {"d1": 1, "n1": 0}},
        "dev": {"q2": {"d2": 1, "n0": 0}},
        "test": {"q3": {"d3": 1, "n1": 0}},
    },
)


def write(file, records):
    """`records` in the format that the name of `file` says."""
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pl.DataFrame(records).write_parquet(file)
        return file
    if name.endswith(".jsonl"):
        data = "".join(f"{json.dumps(record)}\n" for record in records)
    elif name.endswith(".json"):
        data = json.dumps(records)
    else:
        out = io.StringIO(newline="")
        kept = {"delimiter": "\t"} if name.endswith(".tsv") else {}
        writer = csv.DictWriter(out, list(records[0]), lineterminator="\n", **kept)
        writer.writeheader()
        writer.writerows(records)
        data = out.getvalue()
    file.write_bytes(gzip.compress(data.encode()) if file.suffix == ".gz" else data.encode())
    return file


def without(records, *names):
    return [{name: value for name, value in record.items() if name not in names} for record in records]


def read(path, kind=Triplets, **knobs):
    return pairs.read(kind(path=str(path), **knobs))


def lines(file, *texts):
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file


FORMATS = ["tsv", "csv", "jsonl", "json", "parquet", "tsv.gz", "csv.gz", "jsonl.gz", "json.gz"]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_collection(tmp_path, form):
    collection = read(write(tmp_path / f"owls.{form}", TRIPLETS))
    assert (collection.name, collection.hash) == ("owls", EXPECTED.hash)
    (report,) = collection.files
    assert (report.kept, report.lines - report.header, report.skipped) == (4, 4, {})


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_for_each_split_is_the_same_as_a_column_of_splits(tmp_path, form):
    for name, some in (("train", TRIPLETS[:2]), ("validation", TRIPLETS[2:3]), ("test", TRIPLETS[3:])):
        write(tmp_path / f"{name}.{form}", without(some, "split"))
    assert read(tmp_path).hash == EXPECTED.hash
    assert len(read(tmp_path).files) == 3


def test_parts_of_a_split_are_read_one_after_the_other(tmp_path):
    some = without(TRIPLETS, "split")
    (tmp_path / "v1").mkdir()
    for number in (0, 1):
        write(tmp_path / "v1" / f"train-0000{number}-of-00002.parquet", some[2 * number : 2 * number + 2])
    whole = read(write(tmp_path / "train.csv", some))
    assert read(tmp_path, subset="v1").hash == whole.hash
    assert whole.splits == ("train",)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_lists_are_the_same_as_a_triplet_a_line(tmp_path, form):
    flat = [
        {"query": "a", "positive": positive, "negative": negative}
        for positive in ("b", "c")
        for negative in ("d", "e")
    ] + [{"query": "f", "positive": "g", "negative": "h"}]
    listed = [
        {"query": "a", "pos": ["b", "c"], "neg": ["d", "e"]},
        {"query": "f", "pos": ["g"], "neg": ["h"]},
    ]
    together = read(write(tmp_path / f"train.{form}", listed))
    (tmp_path / "flat").mkdir()
    assert together.hash == read(write(tmp_path / "flat" / "train.tsv", flat)).hash
    numbered = [{"query": "a", "pos": "b", "neg_1": "d", "neg_2": "e"}]
    grades = read(write(tmp_path / "flat" / "test.csv", numbered)).qrels["test"][rows.id_of("a")]
    assert grades == {rows.id_of("b"): 1, rows.id_of("d"): 0, rows.id_of("e"): 0}


def test_pairs_with_scores_are_the_same_as_triplets(tmp_path):
    flat = []
    for row in TRIPLETS:
        shared = {"qid": row["query_id"], "question": row["query"], "split": row["split"]}
        positive = {"pid": row["positive_id"], "passage": row["positive"], "title": row["title"], "label": 1}
        negative = {"pid": row["negative_id"], "passage": row["negative"], "title": "", "label": 0}
        flat += [{**shared, **positive}, {**shared, **negative}]
    assert read(write(tmp_path / "a.csv", flat), Pairs).hash == EXPECTED.hash


def test_knobs_name_the_columns(tmp_path):
    renamed = [{"q": row["query"], "p": row["positive"], "n": row["negative"]} for row in TRIPLETS]
    knobs = {"query": "q", "positive": "p", "negative": ["n"]}
    usual = [{"query": row["q"], "positive": row["p"], "negative": row["n"]} for row in renamed]
    assert (
        read(write(tmp_path / "train.tsv", renamed), **knobs).hash
        == read(write(tmp_path / "train.csv", usual)).hash
    )


def test_equal_texts_without_ids_are_one_document_and_repetitions_change_nothing(tmp_path):
    once = lines(tmp_path / "train.tsv", "query\tpositive\tnegative", "a\tb\tc", "d\tb\te")
    again = lines(tmp_path / "train.csv", "query,positive,negative", "a,b,c", "d,b,e", "a,b,c")
    assert read(once).hash == read(again).hash
    assert len(read(once).doc_ids) == 3  # b, c, e


def test_a_file_without_splits_is_divided_by_the_seed(tmp_path):
    table = lines(tmp_path / "a.tsv", "query\tdoc", *(f"q{n}\td{n // 2}" for n in range(40)))
    collection = read(table, Pairs, train_share=0.5)
    assert {split: len(judged) for split, judged in collection.qrels.items()} == {
        "train": 20,
        "dev": 10,
        "test": 10,
    }
    docs = [{doc for grades in judged.values() for doc in grades} for judged in collection.qrels.values()]
    assert sum(map(len, docs)) == 20  # none in two splits
    assert read(table, Pairs, train_share=0.5).hash == collection.hash
    assert read(table, Pairs, train_share=0.5, split_seed=1).hash != collection.hash


def test_a_given_negative_that_is_a_positive_elsewhere_stays_one_and_is_counted(tmp_path):
    table = lines(
        tmp_path / "train.tsv", "query\tpositive\tnegative", "a\tb\tc", "a\tc\td", "a\tb\tc", "e\td\tc"
    )
    collection = read(table)
    ids = {letter: rows.id_of(letter) for letter in "abcde"}
    assert collection.qrels["train"][ids["a"]] == {ids["b"]: 1, ids["c"]: 1, ids["d"]: 0}
    assert collection.remarks == (
        "given negatives that are positives of the same query elsewhere, kept as positives: 1",
    )


def test_columns_without_a_role_are_remarked(tmp_path):
    table = lines(tmp_path / "train.csv", "id,query,doc,note", "1,a,b,c")
    assert read(table, Pairs).remarks == ("columns without a role, left out: id, note",)


TABLE = ("query_id,query,positive,negative_id,negative", "q1,a,b,n1,c", "q2,d,e,n2,f")


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("q3,g,,n3,h", "empty positive", "positive: empty, want a text"),
        ("q3,g,h,n3,h", "positive is negative", "'h' is positive and negative"),
        ("q3,g,h", "number of fields", "3 fields, want 5: query_id, query, positive, negative_id, negative"),
        ("q1,other,h,n3,i", "id of two texts", "query id 'q1' names two different texts, first in {file}:2"),
        ("q3,g,h,n2,i", "id of two texts", "document id 'n2' names two different texts, first in {file}:3"),
    ],
)
def test_a_bad_line_leaves_nothing_behind(tmp_path, line, kind, said):
    bad = lines(tmp_path / "train.csv", *TABLE, line, "q4,i,j,n4,k")
    with pytest.raises(ValueError, match=r"train\.csv:4: ") as caught:
        read(bad)
    assert str(caught.value) == f"{bad}:4: {said.format(file=bad)}"
    skipped = read(bad, on_bad=OnBad.skip)
    (report,) = skipped.files
    assert (report.kept, report.skipped, report.lines) == (3, {kind: 1}, 5)
    assert skipped.hash == read(lines(tmp_path / "train.csv", *TABLE, "q4,i,j,n4,k")).hash


def test_a_pair_with_two_scores_is_refused_and_the_first_is_kept(tmp_path):
    table = lines(tmp_path / "train.tsv", "query\tdoc\tscore", "a\tb\t1", "a\tb\t1.0", "a\tb\t0", "a\tc\t0")
    with pytest.raises(ValueError, match=r":4: query 'a' and document 'b' have score 0 here and 1 before$"):
        read(table, Pairs)
    skipped = read(table, Pairs, on_bad=OnBad.skip)
    assert list(skipped.qrels["train"][rows.id_of("a")].values()).count(1) == 1
    assert skipped.files[0].skipped == {"two scores": 1}


def test_the_same_pair_may_be_judged_otherwise_in_another_split(tmp_path):
    lines(tmp_path / "train.tsv", "query\tdoc\tscore", "a\tb\t1")
    lines(tmp_path / "test.tsv", "query\tdoc\tscore", "a\tb\t0")
    query, doc = rows.id_of("a"), rows.id_of("b")
    assert read(tmp_path, Pairs).qrels == {"train": {query: {doc: 1}}, "test": {query: {doc: 0}}}


def test_columns_that_do_not_say_enough_are_refused_in_either_case(tmp_path):
    table = lines(tmp_path / "train.tsv", "a\tb", "c\td")
    for on_bad in OnBad:
        with pytest.raises(
            ValueError, match=r"train\.tsv: no column says which is the query: it has a, b; want"
        ):
            read(table, Pairs, on_bad=on_bad)
    with pytest.raises(
        ValueError, match=r"no negative column: it has query, doc; .* without negatives data=pairs"
    ):
        read(lines(table, "query\tdoc", "c\td"))
    with pytest.raises(ValueError, match=r"pairs with a negative column \(neg\), want data=triplets"):
        read(lines(table, "query\tdoc\tneg", "c\td\te"), Pairs)


def test_each_line_of_json_is_judged_by_its_own_keys(tmp_path):
    good = '{"query": "a", "doc": "b", "score": 2}'
    other = '{"doc": "c", "question": "a", "score": 0, "note": 1}'
    table = lines(tmp_path / "train.jsonl", good, other, '{"query": "a"}', '{"query": "a", "doc": "d"}')
    with pytest.raises(
        ValueError, match=r"jsonl:3: no column says which is the positive: it has query; want"
    ):
        read(table, Pairs)
    skipped = read(table, Pairs, on_bad=OnBad.skip)
    assert skipped.files[0].skipped == {"no positive": 1, "score now and then": 1}
    assert sorted(skipped.qrels["train"][rows.id_of("a")].values()) == [0, 2]
    lines(table, good, '{"query": "a", "doc": "d"}')
    with pytest.raises(
        ValueError, match=r"jsonl:2: score: missing here and given before, want it in all or in"
    ):
        read(table, Pairs)


def test_a_file_with_nothing_usable_is_an_error_in_either_case(tmp_path):
    table = lines(tmp_path / "train.csv", "query,doc", ",b", "c,")
    with pytest.raises(
        ValueError, match=r"no usable pair, want at least one; .* skipped 2 of 3 lines .*csv:2: query"
    ):
        read(table, Pairs, on_bad=OnBad.skip)
    with pytest.raises(ValueError, match=r"train\.csv: no usable triplet, want at least one$"):
        read(lines(table, "query,doc,neg"))


def test_a_data_set_of_the_hub_is_read_as_its_files_are(workplace):
    pytest.importorskip("datasets")
    folder = workplace / "owner" / "owls"
    folder.mkdir(parents=True)
    for name, some in (("train", TRIPLETS[:2]), ("validation", TRIPLETS[2:3]), ("test", TRIPLETS[3:])):
        write(folder / f"{name}.parquet", without(some, "split"))
    collection = read("hf://owner/owls")
    assert (collection.name, collection.hash) == ("owls", EXPECTED.hash)
    assert [(report.file, report.lines) for report in collection.files] == [
        ("hf://owner/owls/train", 2),
        ("hf://owner/owls/dev", 1),
        ("hf://owner/owls/test", 1),
    ]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=5
)


@given(
    table=st.lists(st.tuples(TEXT, TEXT, st.integers(0, 3)), min_size=1, max_size=6),
    form=st.sampled_from(FORMATS),
)
def test_any_texts_are_the_same_in_every_format(tmp_path_factory, table, form):
    grades = {(query, doc): grade for query, doc, grade in table}
    records = [{"query": query, "doc": doc, "score": grade} for (query, doc), grade in grades.items()]
    folder = tmp_path_factory.mktemp("table")
    if '"' in f"{records}" and "tsv" in form:
        form = form.replace("tsv", "csv")  # the csv module would quote, and TSV knows no quotes
    collection = read(write(folder / f"train.{form}", records), Pairs)
    expected = Collection.from_dicts(
        {rows.id_of(doc): doc for _, doc in grades},
        {rows.id_of(query): query for query, _ in grades},
        {
            "train": {
                rows.id_of(query): {rows.id_of(d): g for (q, d), g in grades.items() if q == query}
                for query, _ in grades
            }
        },
    )
    assert collection.hash == expected.hash
