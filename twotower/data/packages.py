"""The source files of installed Python packages, found without importing anything.

    "stdlib"  ->  Source("json.decoder", .../json/decoder.py), ...
    "numpy"   ->  Source("numpy.linalg._linalg", .../numpy/linalg/_linalg.py), ...

Tests, experiments, obsolete parts and very large files are left out. Modules with a private name are listed:
what a public package imports from them is public.
"""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STDLIB = "stdlib"
LARGEST = 500_000
"""Bytes of a source file; larger ones are tables."""
LEFT_OUT = frozenset({
    "__main__", "__pycache__", "antigravity", "conftest", "distutils", "experimental", "idlelib", "lib2to3",
    "setup", "site-packages", "test", "tests", "this", "turtledemo",
})  # fmt: skip


@dataclass(frozen=True, order=True)
class Source:
    """A source file: the dotted name of its module, and what says whether it has changed."""

    module: str
    path: Path
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since the epoch."""

    @property
    def is_package(self) -> bool:
        """Whether relative imports start from the module itself."""
        return self.path.name == "__init__.py"

    @property
    def is_private(self) -> bool:
        """Whether any part of the module's name starts with an underscore."""
        return any(part.startswith("_") for part in self.module.split("."))


def sources(package: str) -> list[Source]:
    """The source files of `package`, sorted by module; `stdlib` is the standard library.

    Raises ValueError for a package that is not installed, or has no Python source.
    """
    if package == STDLIB:
        folder = Path(sysconfig.get_path("stdlib"))
        found = [file for name in sorted(sys.stdlib_module_names) for file in _top_level(folder, name)]
    else:
        found = _installed(package)
    if not found:
        raise ValueError(f"packages: {package!r} has no Python source files to read")
    return sorted(found)


def _installed(package: str) -> list[Source]:
    try:
        # a dotted name would import its parent
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except ValueError:  # a module that was made by hand, such as __main__
        spec = None
    if spec is None:
        raise ValueError(
            f"packages: no package {package!r} is installed; want 'stdlib' or a top-level import name"
        )
    if spec.submodule_search_locations is None:
        return _file(Path(spec.origin), package) if spec.has_location and spec.origin else []
    return [file for folder in spec.submodule_search_locations for file in _package(Path(folder), package)]


def _top_level(folder: Path, name: str) -> list[Source]:
    """Module or package `name` in `folder`; none for those compiled into the interpreter."""
    if name in LEFT_OUT:
        return []
    return [*_file(folder / f"{name}.py", name), *_package(folder / name, name)]


def _file(path: Path, module: str) -> list[Source]:
    if path.suffix != ".py" or not path.is_file():
        return []
    stat = path.stat()
    return [Source(module, path, stat.st_size, stat.st_mtime_ns)] if stat.st_size <= LARGEST else []


def _package(folder: Path, module: str) -> Iterator[Source]:
    """The files below `folder`, which is the package `module`."""
    if folder.is_dir():
        yield from _below(os.fspath(folder), module)


def _below(folder: str, module: str) -> Iterator[Source]:
    """As `_package`, for a folder that is one; each search looks here, so a file costs one look at it."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        name = entry.name.removesuffix(".py")
        if name in LEFT_OUT or name.startswith("test_"):
            continue
        if entry.is_dir():
            if name.isidentifier():
                yield from _below(entry.path, f"{module}.{name}")
        elif entry.name.endswith(".py") and entry.is_file() and (stat := entry.stat()).st_size <= LARGEST:
            full_name = module if name == "__init__" else f"{module}.{name}"
            yield Source(full_name, Path(entry.path), stat.st_size, stat.st_mtime_ns)
