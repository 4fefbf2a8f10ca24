"""YAML of plain types, read so that nothing in it is lost or mistaken.

YAML 1.1 takes 1e-3 for a text and keeps the last of two lines that say one name; here 1e-3 is a number, with
a remark, and a name that stands twice is an error.
"""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]  # OmegaConf reads with it too

_NUMBER = re.compile(r"(?P<mantissa>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))[eE](?P<power>[-+]?[0-9]+)\Z")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # untyped
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.remarks: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in names[:place]:
                line = key.start_mark.line + 1
                raise ValueError(f"line {line}: {key.value} stands twice in one block; want one of them gone")
        return super().construct_mapping(node, deep)


def _exponent(loader: _Loader, node: Any) -> float:
    found = _NUMBER.match(node.value)
    assert found  # by this the constructor was chosen
    mantissa, power = found["mantissa"], found["power"]
    both = f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{power if power[0] in '+-' else f'+{power}'}"
    loader.remarks.append(
        f"line {node.start_mark.line + 1}: {node.value} is a number here, a text to `wandb sweep` itself; "
        f"{both} is a number to both"
    )
    return float(node.value)


_Loader.add_implicit_resolver("!exponent", _NUMBER, list("-+.0123456789"))
_Loader.add_constructor("!exponent", _exponent)


def load(text: str) -> tuple[Any, list[str]]:
    """The one document of a text, and remarks on its numbers.

    >>> load("a: 1e-3")[0]
    {'a': 0.001}

    Raises:
        ValueError: it is no YAML, holds more than plain types, or says a name twice.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data(), loader.remarks
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError("not a sweep file: nested too deeply") from None
    finally:
        loader.dispose()
