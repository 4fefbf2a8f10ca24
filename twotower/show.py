"""What is printed, and where: results on stdout, talk on stderr. The only module that prints."""

import sys

from rich.console import Console
from rich.markup import escape


def result(text: str) -> None:
    """A result, on stdout, as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def talk(text: str) -> None:
    """A remark, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(text))


def error(text: str) -> None:
    """One line on stderr that says what went wrong."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]twotower:[/] {escape(text)}")
