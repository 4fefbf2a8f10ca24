"""A collection as MS MARCO's: each query has its own six to ten passages `<query>_<position>`."""

from conftest import ANIMALS, FOODS, PLACES

from twotower.data.collection import Collection

SPLITS = ("dev", "test", "train", "train")


def passages(queries: int = 48) -> Collection:
    """A quarter of the queries each in dev and test; every seventh has two relevant passages, others one."""
    docs: dict[str, str] = {}
    texts: dict[str, str] = {}
    qrels: dict[str, dict[str, dict[str, int]]] = {split: {} for split in sorted(set(SPLITS))}
    for number in range(queries):
        query, size = f"{1000 + number}", 6 + number % 5
        animal, place = ANIMALS[number % 12], PLACES[number % 5]
        relevant = {number % size} | ({(number + 3) % size} if number % 7 == 0 else set())
        for place_in_list in range(size):
            other = ANIMALS[(number + 1 + place_in_list) % 12]
            name = animal if place_in_list in relevant else other
            food = FOODS[(number + place_in_list) % 7]
            docs[f"{query}_{place_in_list}"] = f"The {name} of the {place} eats {food}, note {number} says."
        texts[query] = f"what does the {animal} of the {place} eat, note {number}?"
        grades = {f"{query}_{at}": int(at in relevant) for at in range(size)}
        qrels[SPLITS[number % 4]][query] = grades
    return Collection.from_dicts(docs, texts, qrels, name="passages")
