import pytest

from twotower.data import parts


def made(folder, *names):
    for name in names:
        (folder / name).write_text("")
    return folder


def names(splits):
    return {split: [file.name for file in files] for split, files in splits.items()}


def test_a_folder_has_a_file_for_each_split(tmp_path):
    folder = made(tmp_path, "train.tsv", "valid.tsv.gz", "TEST.jsonl", "README.md", "notes.csv", ".dev.tsv")
    assert names(parts.by_split(folder)) == {
        "train": ["train.tsv"],
        "dev": ["valid.tsv.gz"],
        "test": ["TEST.jsonl"],
    }


def test_the_parts_of_a_split_come_in_order(tmp_path):
    files = [f"train-0000{number}-of-00003.parquet" for number in (2, 0, 1)]
    assert names(parts.by_split(made(tmp_path, *files))) == {"train": sorted(files)}


@pytest.mark.parametrize(
    ("name", "split"),
    [("pairs.csv", "all"), ("dev.csv", "dev"), ("val-00.csv", "dev"), ("training.csv", "all")],
)
def test_a_single_file_is_a_split_if_its_name_says_so(tmp_path, name, split):
    assert names(parts.by_split(made(tmp_path, name) / name)) == {split: [name]}


@pytest.mark.parametrize(
    "two",
    [
        ("dev.tsv", "validation.tsv"),
        ("dev.csv", "dev.tsv"),
        ("dev.tsv", "dev.tsv.gz"),
        ("dev-0.tsv", "val-1.tsv"),
    ],
)
def test_two_files_that_are_the_same_split_are_refused(tmp_path, two):
    with pytest.raises(ValueError, match=f"both {two[0]} and {two[1]} are the split dev, want one of them"):
        parts.by_split(made(tmp_path, *two))


def test_what_cannot_be_read_is_refused_and_says_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        parts.by_split(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"format \.xlsx, want one of \.tsv, \.csv"):
        parts.by_split(made(tmp_path, "a.xlsx") / "a.xlsx")
    with pytest.raises(
        FileNotFoundError, match=r"it has pairs\.tsv; want train, dev or test .* data\.path=FILE"
    ):
        parts.by_split(made(tmp_path, "pairs.tsv"))
