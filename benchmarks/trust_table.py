"""What trust.py found: kept in a file, compared, and printed."""

import json
import os
from pathlib import Path

import numpy as np
from trust_measures import COVERAGE, LEADS, MEASURES, ORACLE, SECONDS

LIMIT = 1.005
HEADER = (
    "recording",
    "CRPS",
    "energy",
    "8-step energy",
    f"CRPS at {', '.join(map(str, LEADS))}",
    f"90 % covers at {', '.join(map(str, LEADS))}",
    "fit, s",
    "kept",
)


class Results:
    """Measures by recording, model and seed, in a file if there is one."""

    def __init__(self, path=None):
        self.path = path and Path(path)
        self.found = self._read()

    def _read(self):
        if self.path is None or not self.path.exists():
            return {}
        return json.loads(self.path.read_text())

    def add(self, recording, model, seed, values):
        if self.path is not None:  # another process may have added to it
            self.found = self._read()
        models = self.found.setdefault(recording, {})
        models.setdefault(model, {})[str(seed)] = values
        if self.path is not None:
            draft = self.path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self.found, indent=1))
            draft.replace(self.path)

    def has(self, recording, model, seed):
        return str(seed) in self.found.get(recording, {}).get(model, {})

    def comparison(self, recording, model):
        return Comparison(recording, model, self.found[recording])


class Comparison:
    """A form of AFM, its mean over seeds, beside all opponents on a recording."""

    def __init__(self, recording, model, found):
        self.recording, self.seeds = recording, found[model]
        self.ours = means(self.seeds)
        self.others = {
            name: means(seeds)
            for name, seeds in found.items()
            if not name.startswith("AFM") and name != ORACLE
        }
        self.oracle = means(found[ORACLE]) if ORACLE in found else None
        self.best = {
            measure: min(self.others, key=lambda name: self.others[name][measure])
            for measure in MEASURES
        }
        self.ratios = {
            measure: self.ours[measure] / self.others[name][measure]
            for measure, name in self.best.items()
        }

    @property
    def missed(self):
        return [measure for measure in MEASURES if self.ratios[measure] > LIMIT]

    @property
    def kept(self):
        return ", ".join(dict.fromkeys(one["kept"] for one in self.seeds.values()))

    def over_oracle(self):
        return {m: self.ours[m] / self.oracle[m] for m in MEASURES}

    def lines(self):
        """Return what is printed of a recording, line by line."""
        cells = [f"{m} {self.ratios[m]:.3f} ({self.best[m]})" for m in MEASURES]
        yield f"{self.recording:12}" + "  ".join(cells[:3])
        yield " " * 12 + "  ".join(cells[3:])
        if self.oracle:
            cells = [f"{m} {ratio:.3f}" for m, ratio in self.over_oracle().items()]
            yield " " * 12 + "over the oracle: " + "  ".join(cells)
        covered = " ".join(f"{self.ours[m]:.2f}" for m in COVERAGE)
        seconds = "  ".join(f"{name} {self.ours[name]:.1f}" for name in SECONDS)
        yield f"{'':12}covers {covered}  seconds: {seconds}  kept {self.kept}"
        if self.missed:
            yield f"{'':12}MISSED: {', '.join(self.missed)}"

    def opponent_lines(self):
        for name, values in {"AFM": self.ours, **self.others}.items():
            yield f"  {name:20}" + "  ".join(f"{m} {values[m]:.4f}" for m in MEASURES)

    def row(self):
        """Cells of a line of the Markdown table."""
        return (
            self.recording,
            *ratio_cells(self.ratios),
            " ".join(short(self.ours[m], 2) for m in COVERAGE),
            f"{self.ours['fit']:.0f}",
            self.kept,
        )


def means(seeds):
    """Mean over seeds of each number."""
    numbers = (*MEASURES, *COVERAGE, *SECONDS)
    return {m: float(np.mean([one[m] for one in seeds.values()])) for m in numbers}


def geometric_means(ratios):
    return {m: float(np.exp(np.mean(np.log([r[m] for r in ratios])))) for m in MEASURES}


def markdown(comparisons):
    """Return the table: over the best opponent of each measure, then over the oracle.

    A star marks what is missed.
    """
    rows = [HEADER, ("---",) * len(HEADER), *(c.row() for c in comparisons)]
    mean = ratio_cells(geometric_means([c.ratios for c in comparisons]), mark=False)
    rows.append(("geometric mean", *mean, "", "", ""))
    known = [c for c in comparisons if c.oracle]
    if known:
        rows += [(), HEADER[:5], ("---",) * 5]
        ratios = {f"{c.recording} / oracle": c.over_oracle() for c in known}
        ratios["geometric mean"] = geometric_means(list(ratios.values()))
        rows += [(name, *ratio_cells(r, mark=False)) for name, r in ratios.items()]
    return "\n".join(f"| {' | '.join(row)} |" if row else "" for row in rows)


def forms_markdown(results, names, models):
    """Return the table of forms of AFM: one step's CRPS, energy, trajectories' energy.

    Each over the best opponent, of recordings of which all the forms are known.
    """
    names = [name for name in names if set(models) <= set(results.found.get(name, {}))]
    ratios = {
        model: [results.comparison(name, model).ratios for name in names]
        for model in models
    }
    rows = [("recording", *models), ("---",) * (1 + len(models))]
    for i, name in enumerate(names):
        rows.append((name, *(three_cells(ratios[model][i]) for model in models)))
    means = [three_cells(geometric_means(ratios[model])) for model in models]
    rows.append(("geometric mean", *means))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def three_cells(ratios):
    return " ".join(short(ratios[m], 3) for m in MEASURES[:3])


def ratio_cells(ratios, mark=True):
    """Four cells: three ratios, and those of all leads."""
    cells = [
        short(ratios[m], 3) + ("*" if mark and ratios[m] > LIMIT else "")
        for m in MEASURES
    ]
    return *cells[:3], " ".join(cells[3:])


def short(value, digits):
    """Return a number without the zero before its point."""
    return f"{value:.{digits}f}".removeprefix("0")
