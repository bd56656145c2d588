"""Documentation that a test keeps true: docstrings, examples, links, commands, and the names that texts mention."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from contract.cases import package_layers

import backpass as bp
from backpass.errors import MissingExtraError

ROOT = Path(__file__).resolve().parent.parent
PAGES = [page for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if page.is_file()]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bp.__path__, "backpass.")
    if not any(part.startswith("_") for part in module.name.split("."))
)


def module_named(name: str):
    try:
        return importlib.import_module(name)
    except (MissingExtraError, ModuleNotFoundError) as error:
        if "backpass" in (getattr(error, "name", None) or ""):
            raise
        return pytest.skip(f"{name}: {error}")


def exported() -> list[tuple[str, object]]:
    """Every function and class that a package (backpass, backpass.data ...) lists in its __all__."""
    found = {}
    for name in ["backpass", *MODULES]:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # an extra is missing: test_examples says so
        for public in getattr(module, "__all__", []) if hasattr(module, "__path__") else ():
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return sorted(found.items())


@pytest.mark.parametrize("name", ["backpass", *MODULES])
def test_module_and_its_public_names_are_documented(name):
    module = module_named(name)
    assert module.__doc__, f"{name} has no docstring"
    for public, value in vars(module).items():
        if public.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            text = inspect.cleandoc(value.__doc__ or "")
            assert re.match(r"[A-Z`\"(].*?[.:]( |\n|$)", text.replace("\n", " ")), f"{name}.{public}: {text[:60]!r}"


@pytest.mark.parametrize(("name", "value"), exported(), ids=[name for name, _ in exported()])
def test_public_name_has_an_example(name, value):
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    text = value.__doc__ or ""
    base = inspect.isclass(value) and bool(value.__subclasses__())
    result = inspect.isclass(value) and "Attributes\n" in text and "Parameters\n" not in text  # what a function returns
    elsewhere = re.search(r"Examples\n    -+\n    See `\w+`", text)
    assert base or result or elsewhere or ">>>" in text, f"{name}: its docstring has no example"


@pytest.mark.parametrize("name", ["backpass", *MODULES])
def test_examples(name):
    module = module_named(name)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_file_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere: tests need no network
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}: no such heading"
    for named in re.findall(r"`((?:src|tests|docs|benchmarks|examples)/[\w./\-]+)`", text):
        if Path(named).stem == "name":
            continue  # "name" stands for any
        assert (ROOT / named).exists(), f"{page.name} names {named}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_texts_names_what_exists(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        code = re.sub(r"^(>>>|\.\.\.) ?", "", block, flags=re.MULTILINE) if ">>>" not in block else ""
        compile(code, str(page), "exec")
        for dotted in re.findall(r"\bbp((?:\.\w+)+)", block):
            value: object = bp
            for name in dotted.strip(".").split("."):
                try:
                    value = getattr(value, name)
                except AttributeError:
                    value = importlib.import_module(f"{getattr(value, '__name__', '')}.{name}")
                if not inspect.ismodule(value):
                    break


def commands() -> list[str]:
    """Every `backpass ...` line of the texts: indented, or in a fenced block."""
    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        fenced = "\n".join(re.findall(r"```(?:sh|bash|console|shell)\n(.*?)```", text, re.DOTALL))
        found |= set(re.findall(r"^(?: {4})?(?:\$ )?(backpass .*)$", fenced, re.MULTILINE))
        found |= set(re.findall(r"^ {4}(?:\$ )?(backpass .*)$", text, re.MULTILINE))
    return sorted(found)


@pytest.mark.parametrize("command", commands())
@pytest.mark.skipif("backpass.cli" not in MODULES, reason="there is no command line yet")
def test_commands_in_texts_exist(command):
    words = command.partition("#")[0].split()[1:]
    names = [word for word in words if re.fullmatch(r"[a-z][a-z\-]*", word)][:2]
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    for depth in (2, 1):  # `data list` is a command of a command; `train digits` an argument of one
        help_page = subprocess.run(
            [sys.executable, "-c", "from backpass.cli import main; main()", *names[:depth], "--help"],
            env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if help_page.returncode == 0:
            break
    assert help_page.returncode == 0, f"{command}: {help_page.stderr}"
    missing = {option for option in options if option not in help_page.stdout}
    assert not missing, f"{command}: the help has no {missing}"


@pytest.mark.parametrize("cls", package_layers(), ids=lambda cls: cls.__name__)
def test_layers_are_in_the_table(cls):
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    if not re.search(r"^\|.*`?BatchNorm`?.*\|", text, re.MULTILINE):
        pytest.skip("the texts have no table of layers")
    assert re.search(rf"\b{cls.__name__}\b", text), f"mention {cls.__name__} in the table of layers"
