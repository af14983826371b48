"""What sphinx-gallery leaves to do: an order, titles, a thumbnail, a clean folder.

The first line of a script's docstring is the title of its page, so that scripts need
no markup.
"""

import re
import shutil
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
THUMBNAIL = Path(__file__).parent / "_build" / "not_run.png"

# Shown, but not run: they need optional libraries, several processes or GPUs.
NOT_RUN = ("pynapple_recording", "distributed_search", "optuna_search", "several_gpus")

# From a first forecast to special uses; what is not named comes last.
ORDER = """
    demo comparison calibration runs_and_search spike_counts missing_data what_if saving
    streaming decoding imputation planning surprise novelty sessions foreign_forecasters
    nilearn_recording
""".split()

NOTE = re.compile(r"^\.\. only:: html\n\n    \.\. note::\n(?:\s{4,}.*\n|\n)+", re.M)
TITLE = re.compile(r"(?<=\.py:\n\n)\n*((?:.+\n)+?)(?=\n)")


def place(file: str) -> tuple[int, str]:
    """Sort examples by where they stand in ORDER."""
    stem = Path(file).stem
    return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)


def add_title(app: Any, name: str, source: list[str]) -> None:
    """Open an example's page with its title, and let its names be links."""
    if not name.startswith("examples/") or name == "examples/index":
        return

    def underline(found: re.Match[str]) -> str:
        lines = found[1].rstrip("\n").split("\n")
        if len(lines) > 1 and re.fullmatch(r"(\W)\1+", lines[-1]):
            lines = lines[:-1]
        title = " ".join(lines).rstrip(".")
        return f"{title}\n{'=' * len(title)}\n\n.. currentmodule:: afm_sklearn\n"

    source[0] = TITLE.sub(underline, NOTE.sub("", source[0]), count=1)


def prepare(app: Any) -> None:
    """Draw the thumbnail of what is not run; note what is to be left as it was."""
    from matplotlib.figure import Figure

    THUMBNAIL.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(4, 2.8))
    figure.text(0.5, 0.5, "not run here", ha="center", size=20, color="0.5")
    figure.savefig(THUMBNAIL)
    app.figures_were_there = (EXAMPLES / "demo_output").exists()


def remove_figures(app: Any, error: Exception | None) -> None:
    """Take away what the scripts have just written there; their pages have it."""
    if not app.figures_were_there:
        shutil.rmtree(EXAMPLES / "demo_output", ignore_errors=True)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", prepare, priority=100)
    app.connect("source-read", add_title)
    app.connect("build-finished", remove_figures)
    return {"parallel_read_safe": True}
