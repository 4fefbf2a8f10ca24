"""What else the files of a collection say about its queries: the further fields of BEIR's queries.jsonl.

{"_id": "q1", "text": "where", "metadata": {"year": 1999}, "topic": "places"}
                                     ->  metadata.year: {"q1": 1999}      topic: {"q1": "places"}
"""

from pathlib import Path
from typing import Any

from twotower.config import OnBad
from twotower.data import records
from twotower.data.collection import Collection
from twotower.data.ledger import BadLine, Ledger, listed

OWN = ("_id", "text", "metadata")
"""Fields that every such file may have, and that tell no slices apart."""
INNER = "metadata"


def of_queries(collection: Collection, name: str) -> dict[str, Any]:
    """Query id -> value of the field `name` or `metadata.<key>`; queries without it are left out.

    Raises:
        ValueError: the collection was not read from a BEIR folder, or no query has such a field; the line
            names those that are there.
        FileNotFoundError: the folder is gone.
    """
    if collection.source.get("kind") != "beir":
        raise ValueError(f"{collection.name}: no field {name!r}, only queries of data=beir have fields")
    folder = Path(str(collection.source["path"]))
    files = [file for file in (folder / "queries.jsonl", folder / "queries.jsonl.gz") if file.is_file()]
    if not files:
        raise FileNotFoundError(f"{folder / 'queries.jsonl'}: no such file, nor queries.jsonl.gz beside it")
    found: dict[str, Any] = {}
    there: dict[str, None] = {}
    page = Ledger(OnBad.skip).page(files[0])  # what is wrong in it was said when the collection was read
    for number, line in page.lines():
        with page.line(number):
            record = records.json_object(line)
            fields = _flat(record)
            there |= dict.fromkeys(fields)
            if fields.get(name) is not None:
                found[_id(record)] = fields[name]
    if not found:
        known = listed([field for field in there if field != name])
        raise ValueError(f"{files[0]}: no query has a field {name!r}, there is {known}")
    return found


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Fields by name, those of the metadata with a dot."""
    inner = record.get(INNER)
    made = {name: value for name, value in record.items() if name not in OWN}
    if isinstance(inner, dict):
        made |= {f"{INNER}.{name}": value for name, value in inner.items()}
    return made


def _id(record: dict[str, Any]) -> str:
    key = record.get("_id")
    if not isinstance(key, str):
        raise BadLine("wrong _id", f"_id {key!r}, want text")
    return key
