import json.decoder
import sys
import types

import pytest

from twotower.data import packages
from twotower.data.modules import Modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes files of packages that can be found, and is told their names and contents."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


def modules_of(name: str) -> list[str]:
    return [source.module for source in packages.sources(name)]


def public(name: str) -> dict[str, list[str]]:
    """Documented names by public module."""
    found: dict[str, list[str]] = {}
    for module, docs in Modules(packages.sources(name)).public():
        found.setdefault(module, []).extend(inner for inner, _ in docs)
    return found


def test_modules_are_named_by_their_place_and_tests_left_out(package):
    names = ["__init__", "b", "_c", "sub/__init__", "sub/d", "tests/e", "test_f", "conftest", "__main__"]
    package({f"foundpkg/{name}.py": "" for name in names})
    assert modules_of("foundpkg") == [
        "foundpkg",
        "foundpkg._c",
        "foundpkg.b",
        "foundpkg.sub",
        "foundpkg.sub.d",
    ]


def test_a_single_file_is_a_package_too(package):
    package({"foundmodule.py": '"""Doc."""'})
    assert modules_of("foundmodule") == ["foundmodule"]


def test_finding_imports_nothing(package):
    package({"explosive/__init__.py": "raise SystemExit('imported')"})
    assert modules_of("explosive") == ["explosive"]
    assert "explosive" not in sys.modules


def test_very_large_files_are_left_out(package):
    package({"largepkg/__init__.py": "", "largepkg/table.py": "#" * (packages.LARGEST + 1)})
    assert modules_of("largepkg") == ["largepkg"]


def test_the_standard_library_is_there_without_its_tests():
    found = packages.sources("stdlib")
    by_name = {source.module: source for source in found}
    assert by_name["json.decoder"].path.samefile(json.decoder.__file__)
    assert {"statistics", "json", "xml.etree.ElementTree"} <= by_name.keys()
    assert not {name.split(".")[0] for name in by_name} & {"test", "idlelib", "lib2to3", "numpy"}


@pytest.mark.parametrize("name", ["no_such_package", "json.decoder", "", "../x", "made_by_hand"])
def test_an_unknown_package_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "made_by_hand", types.ModuleType("made_by_hand"))
    with pytest.raises(
        ValueError, match=r"no package '.*' is installed; want 'stdlib' or a top-level"
    ) as caught:
        packages.sources(name)
    assert repr(name) in str(caught.value)


def test_a_package_without_source_is_named():
    with pytest.raises(ValueError, match="'sys' has no Python source files to read"):
        packages.sources("sys")


def test_public_members_are_found_below_conditions_and_classes(package):
    package({
        "memberpkg.py": '''
"""Module."""
if True:
    def shown():
        """Doc."""
        def inner():
            """Not public."""
class Shown:
    """Doc."""
    def method(self):
        """Doc."""
    def _hidden(self):
        """Doc."""
    class Inner:
        async def deep(self):
            """Doc."""
class _Hidden:
    def method(self):
        """Doc."""
def bare(): pass
'''
    })  # fmt: skip
    assert public("memberpkg") == {"memberpkg": ["", "shown", "Shown", "Shown.method", "Shown.Inner.deep"]}


def test_what_a_package_imports_from_private_modules_is_public_under_its_short_name(package):
    package({
        "exportpkg/__init__.py": "from ._core import mean as average, Box\nfrom ._core import _secret\n",
        "exportpkg/_core/__init__.py": "from .impl import *\nfrom .impl import _secret\n",
        "exportpkg/_core/impl.py": '''
__all__ = ["mean", "Box"]
def mean():
    """Doc."""
def other():
    """Doc."""
def _secret():
    """Doc."""
class Box:
    """Doc."""
    def open(self):
        """Doc."""
''',
        "exportpkg/sub/__init__.py": "from .._core import mean\n",
        "exportpkg/user.py": "from ._core import other\n",
    })  # fmt: skip
    found = public("exportpkg")
    assert found["exportpkg"] == ["average", "Box", "Box.open"]
    assert found["exportpkg.sub"] == []  # mean is shown once, under the shorter name
    assert found["exportpkg.user"] == []


def test_circular_star_imports_end(package):
    package({
        "circlepkg/__init__.py": "from ._a import *\n",
        "circlepkg/_a.py": "from ._b import *\n",
        "circlepkg/_b.py": 'from ._a import *\ndef found():\n    """Doc."""\n',
    })  # fmt: skip
    assert public("circlepkg")["circlepkg"] == ["found"]


def test_files_that_do_not_parse_are_passed_over(package):
    package({
        "oddpkg/__init__.py": '"""Doc."""',
        "oddpkg/old.py": "print 'Python 2'",
        "oddpkg/made.py": '# @generated\n"""Doc."""',
        "oddpkg/escape.py": '"""Doc."""\nx = "\\d"',
    })  # fmt: skip
    assert public("oddpkg") == {"oddpkg": [""], "oddpkg.escape": [""]}
