"""A page for each script in ``examples/``: its docstring, and the script itself.

The scripts are not run: some take a minute, and a few need optional libraries.
"""

import ast
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "examples"
SCRIPTS = Path(__file__).parent.parent / "examples"

PAGE = """\
{title}
{line}

{text}

Run it with ``python examples/{name}``.

.. literalinclude:: ../../examples/{name}
   :start-at: {first}
"""
INDEX = """\
Examples
========

Each script makes its own data, runs in about a minute and writes a figure to
``demo_output/``. Its page opens with the question that it answers, says how to read the
figure and what it cannot do. {extras}

.. toctree::
   :maxdepth: 1

   {names}
"""
EXTRAS = (
    'Install ``pip install "afm-sklearn[examples]"`` first; those that read files of '
    'other libraries need ``"afm-sklearn[exchange]"`` as well.'
)


def write_pages(app: Any) -> None:
    """Write the pages that differ from what is there."""
    FOLDER.mkdir(exist_ok=True)
    scripts = sorted(SCRIPTS.glob("*.py"))
    for stale in FOLDER.glob("*.rst"):
        if stale.stem not in {"index", *(script.stem for script in scripts)}:
            stale.unlink()
    for script in scripts:
        _write(FOLDER / f"{script.stem}.rst", page_of(script))
    names = "\n   ".join(script.stem for script in scripts)
    _write(FOLDER / "index.rst", INDEX.format(extras=EXTRAS, names=names))


def page_of(script: Path) -> str:
    """Return the page of a script."""
    source = script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, _, text = (ast.get_docstring(tree) or script.stem).partition("\n")
    return PAGE.format(
        title=title.rstrip("."),
        line="=" * len(title),
        text=text.strip(),
        name=script.name,
        first=source.splitlines()[tree.body[1].lineno - 1],
    )


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True}
