"""Small by rule, described, and in the place where its name says."""

import ast
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from conftest import ROOT
from jaxtyping import TypeCheckError

from twotower import compose, config
from twotower.manual import COMMANDS

LINES, FUNCTION, PARAMETERS = 300, 50, 6

SOURCES = sorted((ROOT / "twotower").rglob("*.py"))
TESTS = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
TESTED_BY = {
    "data/checks": "test_collection",
    "data/markup": "test_prose",
    "data/modules": "test_packages",
    "manual": "test_cli",
    "model/retriever": "test_checkpoint",
    "search/changes": "test_edits",
    "search/desk": "test_orders",
    "search/stages": "test_build",
    "training/index_knobs": "test_index_command",
    "training/loop": "test_train",
    "training/record": "test_train",
}
"""Modules whose tests stand in another one's: what they do shows there."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = Function | ast.ClassDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path}:{node.lineno}: {node.name}", node


def public(node: ast.AST, inside: str = "") -> Iterator[tuple[str, Node]]:
    """Public classes and functions, and the public methods of public classes; not what a function holds."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Node) and not child.name.startswith("_"):
            yield f"{inside}{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{child.name}.")


def overrides(node: Node) -> bool:
    """Torch's `forward`, a property whose name and type say all, and what a type checker alone reads."""
    if isinstance(node, ast.ClassDef):
        return False
    decorated = {ast.unparse(decorator) for decorator in node.decorator_list}
    return bool(decorated & {"property", "staticmethod", "overload"}) or node.name in ("forward", "backward")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_a_function_has_at_most_50_lines() -> None:
    long = {where: node.end_lineno - node.lineno + 1 for where, node in functions() if node.end_lineno}
    assert {where: lines for where, lines in long.items() if lines > FUNCTION} == {}


def test_a_function_has_at_most_6_parameters() -> None:
    wide = {}
    for where, node in functions():
        given = node.args
        names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        names += [one.arg for one in (given.vararg, given.kwarg) if one]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > PARAMETERS:
            wide[where] = count
    assert wide == {}


def test_every_module_says_what_it_is() -> None:
    assert [path for path, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_everything_public_is_described() -> None:
    silent = [
        f"{path}:{node.lineno}: {name}"
        for path, tree in TREES.items()
        for name, node in public(tree)
        if not ast.get_docstring(node) and not overrides(node)
    ]
    assert silent == []


def test_every_function_is_typed() -> None:
    bare = [where for where, node in functions() if node.returns is None]
    assert bare == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_has_a_test_module(path: Path) -> None:
    name = name_of(path).removeprefix("twotower/").removesuffix(".py")
    if path.stem in ("__init__", "__main__") or name.startswith("config/"):
        name = "config/configs" if name.startswith("config/") else "cli"
    tests = TESTED_BY.get(name, f"test_{name.rpartition('/')[2]}")
    assert tests in TESTS


def test_the_list_of_modules_tested_elsewhere_is_no_longer_than_it_must_be() -> None:
    modules = {name_of(path).removeprefix("twotower/").removesuffix(".py") for path in SOURCES}
    assert [name for name in TESTED_BY if name not in modules] == []
    assert [name for name in TESTED_BY if f"test_{name.rpartition('/')[2]}" in TESTS] == []


def test_nothing_is_swallowed() -> None:
    broad = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "Exception" in {ast.unparse(part) for part in parts(node.type)})
    ]
    assert broad == []


def parts(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def test_nothing_read_from_disk_can_run_code() -> None:
    calls = [
        (
            path,
            node.lineno,
            ast.unparse(node.func),
            {word.arg: ast.unparse(word.value) for word in node.keywords},
        )
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]
    banned = re.compile(r"(eval|exec|compile|__import__|os\.system|.*\bpickle\.(loads?|dumps?|Unpickler))")
    assert [call for call in calls if banned.fullmatch(call[2])] == []
    assert [call for call in calls if call[2] == "torch.load" and call[3].get("weights_only") != "True"] == []
    assert [
        call for call in calls if call[2] == "np.load" and call[3].get("allow_pickle", "False") != "False"
    ] == []
    assert [call for call in calls if call[3].get("shell", "False") != "False"] == []


def test_no_import_of_annotations_from_the_future() -> None:
    assert [path for path in SOURCES if "from __future__" in path.read_text(encoding="utf-8")] == []


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    assert [path for path in SOURCES if marks.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_one_name_five_places(name: str) -> None:
    assert (ROOT / "twotower" / "commands" / f"{name}.py").is_file()
    assert COMMANDS[name].config is getattr(config, name.title().replace("_", ""))
    assert is_dataclass(COMMANDS[name].config)
    assert (compose.conf_dir() / f"{name}.yaml").is_file()
    assert f"test_{name}" in TESTS or f"test_{name}_command" in TESTS


def test_every_file_of_commands_is_in_the_table() -> None:
    files = {path.stem for path in (ROOT / "twotower" / "commands").glob("*.py")} - {"__init__"}
    assert files == set(COMMANDS)


def test_shapes_are_checked_while_the_tests_run() -> None:
    import torch

    from twotower.model.words import bag_sum

    vectors, weights = torch.ones(3, 2), torch.ones(4)  # V is 3 here and 4 there
    with pytest.raises(TypeCheckError, match="weights"):
        bag_sum(vectors, weights, torch.zeros(1, dtype=torch.int64), torch.tensor([0, 1]))
