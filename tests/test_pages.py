"""The pages: their code runs as it stands, and the reference leaves nothing out."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted([DOCS / "index.rst", DOCS / "glossary.rst", *DOCS.glob("guide/*.rst")])
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
