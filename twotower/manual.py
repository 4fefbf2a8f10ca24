"""The command table, and what `--help` prints.

twotower --help            one line a command
twotower train --help      every knob with its unit and default, every group with its choices
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from twotower import config, knobs
from twotower.config import GROUPS


@dataclass(frozen=True)
class Command:
    """A row of the command table."""

    config: type
    line: str
    bare: str = ""
    """Names of the bare arguments, if it takes any; `...` after the last lets that one stand repeatedly."""

    @property
    def limit(self) -> float:
        """The most bare arguments."""
        return math.inf if self.bare.endswith("...") else len(self.bare.split())

    @property
    def wanted(self) -> str:
        """How many bare arguments, in words; nothing for none."""
        names = self.bare.split()
        return f"{'one' if len(names) == 1 else len(names)} {' and '.join(names)}, in quotes" if names else ""


COMMANDS: Mapping[str, Command] = {
    "train": Command(config.Train, "train one model, keep its best checkpoint"),
    "evaluate": Command(
        config.Evaluate, "score checkpoints, a run file or vectors on a split of a collection"
    ),
    "leaderboard": Command(
        config.Leaderboard, "say which checkpoint is really better, beside chance and BM25"
    ),
    "compare": Command(config.Compare, "two checkpoints side by side, down to the query", bare="A B"),
    "diagnose": Command(config.Diagnose, "why queries fail, and which knob to turn"),
    "data": Command(config.Data, "look at a collection: counts, lengths, words, leaks; or write it out"),
    "sweep": Command(
        config.Sweep, "launch many runs from one W&B sweep file, on this machine or on a server", bare="FILE"
    ),
    "search": Command(config.Search, "answer a query; without one, a prompt", bare="QUERY"),
    "index": Command(
        config.Index,
        "build, add, remove, update, list, info, stats, check, switch, rollback or prune named indexes",
        bare="ACTION NAME ...",
    ),
    "doctor": Command(config.Doctor, "say what a checkpoint holds, and check it or a folder of them"),
    "convert": Command(config.Convert, "bring over a checkpoint of an older system", bare="FILE"),
    "export": Command(config.Export, "write a checkpoint as a folder that other libraries load"),
    "push": Command(config.Push, "upload a checkpoint and its model card to the Hugging Face hub"),
}


def overview() -> str:
    """`twotower --help`."""
    rows = [(f"{name} {command.bare}".strip(), command.line) for name, command in COMMANDS.items()]
    lines = [
        "twotower: train, sweep, compare and question two-tower text-retrieval models\n",
        "usage: twotower <command> [argument] [knob=value ...]\n",
        *_columns(rows),
        "\ntwotower <command> --help lists its knobs, with units and defaults.",
    ]
    return "\n".join(lines)


def page(name: str, chosen: Mapping[str, str]) -> str:
    """`twotower <name> --help`; `chosen` says which choice of each group is the default."""
    command = COMMANDS[name]
    usage = f"usage: twotower {name} {f'[{command.bare}] ' if command.bare else ''}[knob=value ...]"
    rows = list(knobs.lines_of(command.config, {**defaults(command.config), **chosen}))
    parts = [f"twotower {name}: {command.line}", "", usage, "", *_columns(rows)]
    for group, default in chosen.items():
        if group == "doc_tower":
            parts += ["", "doc_tower=mlp|gru: the same knobs as query_tower, for documents."]
            kind = GROUPS[group]["frozen"]
            parts += ["", f"doc_tower=frozen: {str(kind.__doc__).splitlines()[0]}"]
            parts += _columns(list(knobs.lines_of(kind, defaults(kind), "doc_tower.")))
            continue
        for choice in [default, *(other for other in GROUPS[group] if other not in (default, "stored"))]:
            kind = GROUPS[group][choice]
            mark = " (default)" if choice == default else ""
            parts += ["", f"{group}={choice}{mark}: {str(kind.__doc__).splitlines()[0]}"]
            parts += _columns(list(knobs.lines_of(kind, defaults(kind), f"{group}.")))
    if "query_tower" in chosen:
        parts += [
            "",
            "hidden_dim=64 sets query_tower.hidden_dim and doc_tower.hidden_dim; so with every group.",
        ]
    return "\n".join(parts)


def defaults(kind: type) -> dict[str, Any]:
    """Default values by name; None where there is none."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        values[field.name] = None if knobs.is_required(field) else made
    return values


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = min(38, max((len(left) for left, _ in rows), default=0))
    return [f"  {left:<{width}}  {right}" for left, right in rows]
