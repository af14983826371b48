"""The pages: their code runs as it stands, and the reference leaves nothing out."""

import ast
import doctest
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted([DOCS / "index.rst", DOCS / "glossary.rst", *DOCS.glob("guide/*.rst")])
EXAMPLES = sorted((DOCS.parent / "examples").glob("*.py"))
ROOMS = "applications baselines datasets exchange metrics plotting"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_page_runs(page):
    failed, _ = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0


@pytest.mark.parametrize("module", ["", *ROOMS.split()])
def test_reference_lists_every_public_name(module):
    listed = set(re.findall(r"^   (\w+)$", (DOCS / "api/index.rst").read_text(), re.M))
    package = import_module(f"afm_sklearn.{module}".rstrip("."))
    assert set(package.__all__) <= listed


@pytest.fixture
def example_pages(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    yield import_module("example_pages")
    sys.modules.pop("example_pages")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example_opens_with_a_question(script):
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert "?" in text.partition("What it cannot do")[0]


def test_every_example_that_is_run_has_its_place(example_pages):
    stems = [script.stem for script in EXAMPLES]
    run = [stem for stem in stems if stem not in example_pages.NOT_RUN]
    assert sorted(example_pages.ORDER) == run
    first, *_ = sorted((str(script) for script in EXAMPLES), key=example_pages.place)
    assert first.endswith("demo.py")


def test_first_line_of_an_example_becomes_the_title(example_pages):
    note = ".. only:: html\n\n    .. note::\n        :class: x\n\n        Go.\n\n"
    label = ".. rst-class:: t\n\n.. _sphx_glr_examples_x.py:\n\n"
    for text in ("\nWhy\nnow?\n\nBecause.\n", "\nWhy now?\n====\n\nBecause.\n"):
        source = [note + label + text]
        example_pages.add_title(None, "examples/x", source)
        module = ".. currentmodule:: afm_sklearn"
        assert source[0] == f"{label}Why now?\n========\n\n{module}\n\nBecause.\n"


def test_every_page_of_the_guide_is_listed():
    listed = re.findall(r"^   guide/(\w+)$", (DOCS / "index.rst").read_text(), re.M)
    assert {page.stem for page in DOCS.glob("guide/*.rst")} <= set(listed)
