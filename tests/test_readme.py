"""The snippets of the README run as they stand, in order, in one namespace."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def snippets():
    """Compile each python block, with the line numbers of the README."""
    text = README.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, match.start(1))
        yield compile("\n" * line + match[1], str(README), "exec")


@pytest.mark.slow
def test_snippets_run():
    namespace = {}
    for code in snippets():
        exec(code, namespace)
    samples, paths, y = (namespace[name] for name in ("samples", "paths", "y"))
    assert samples.shape == (200, 100, y.shape[1])
    assert paths.shape == (1, 100, 5, y.shape[1])


def test_every_block_is_found():
    fences = re.findall(r"^```", README.read_text(encoding="utf-8"), re.M)
    assert len(list(snippets())) == len(fences) / 2 > 0
