"""Types in docstrings are plain text: keep reStructuredText from reading them.

``ndarray of shape (n_outputs_,)`` is no link, ``*y.shape`` starts no emphasis, and a
backslash at the end of a line only breaks the line.
"""

import re
from typing import Any

ENTRY = re.compile(r"^(?!>>>|\.\.\. )\S.*(?: : | of shape |\bshape y)")


def escape_types(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: Any
) -> None:
    """Escape markup in the lines that state a type."""
    text = "\n".join(lines)
    text = re.sub(r"\\\n\s+", "", text)
    lines[:] = [
        re.sub(r"(?<=\w)_(?=[,)])|\*", r"\\\g<0>", line) if ENTRY.match(line) else line
        for line in text.split("\n")
    ]


def setup(app: Any) -> dict[str, bool]:
    """Run before numpydoc, which has the default priority of 500."""
    app.connect("autodoc-process-docstring", escape_types, priority=100)
    return {"parallel_read_safe": True}
