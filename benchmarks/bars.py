"""What the accuracy benchmark asks for, and the lines of its table."""

from dataclasses import asdict, dataclass

import numpy as np
import opponents as op

from afm_sklearn.comparison import diebold_mariano

LINEAR = ("VAR 8", "VAR 64")
WIDTHS = (13, 24, 19, 25, 8, 6, 19)


@dataclass
class Line:
    """One measure of one set. `met` is None where nothing was asked."""

    set: str
    measure: str
    values: list
    reference: str
    reference_value: float
    bar: str
    met: bool | None
    standard_errors: float | None = None

    @property
    def value(self):
        return float(np.mean(self.values))

    @property
    def ratio(self):
        return self.value / self.reference_value

    def as_dict(self):
        return asdict(self) | {"value": self.value, "ratio": self.ratio}

    @staticmethod
    def header():
        columns = (
            "set",
            "measure",
            "AFM (sd over seeds)",
            "reference",
            "value",
            "ratio",
            "bar",
            "",
        )
        return _align(columns) + "\n" + "-" * 140

    def __str__(self):
        spread = np.std(self.values, ddof=1) if len(self.values) > 1 else 0.0
        verdict = {None: "-", True: "met", False: "NOT MET"}[self.met]
        if self.standard_errors is not None:  # absent if nothing differs
            verdict += f" ({self.standard_errors:+.1f} SE)"
        return _align(
            (
                self.set,
                self.measure,
                f"{self.value:.4f} ± {spread:.4f}",
                self.reference,
                f"{self.reference_value:.4f}",
                f"{self.ratio:.3f}",
                self.bar,
                verdict,
            )
        )


def _align(cells):
    padded = [c.ljust(w) for c, w in zip(cells[:-1], WIDTHS, strict=True)]
    return "  ".join([*padded, cells[-1]]).rstrip()


def judge(recordings, results, *, quick=False):
    """Lines of a set, from its recordings and the losses by model, seed by seed."""
    table = _Table(recordings, results)
    if recordings[0].oracle is not None:
        limit = 1.01 if table.set in LINEAR else 1.02
        if quick:
            limit = 1.04 if table.set in LINEAR else 1.08
        for measure in ("crps", "energy"):
            yield table.ratio(measure, op.ORACLE, limit)
        if quick:
            return
    elif table.set == "hippocampus":
        yield table.ratio("crps", op.BOOTSTRAP, 0.8)
        yield table.ratio("crps", op.PLAIN, 1.0)
    else:
        for measure in ("crps", "energy"):
            yield table.tie(measure)
    if table.set == "exchange":
        yield table.ratio("crps sum", op.WALK, limit=None, value_limit=0.0050)
    else:
        yield table.tie("trajectory")
        yield table.coverage()
        yield table.saturation()
    yield from table.few_steps()
    yield from table.economy()


class _Table:
    def __init__(self, recordings, results):
        self.recordings, self.results = recordings, results
        self.set = recordings[0].name
        self.simulated = recordings[0].oracle is not None

    def means(self, measure, model):
        return [float(np.mean(result[model][measure])) for result in self.results]

    def best(self, measure):
        known = [name for name in op.OPPONENTS if name in self.results[0]]
        return min(known, key=lambda name: np.mean(self.means(measure, name)))

    def ratio(
        self, measure, reference, limit, *, model="AFM", label=None, value_limit=None
    ):
        """The mean of the model is at most `limit` times that of the reference."""
        values = self.means(measure, model)
        against = float(np.mean(self.means(measure, reference)))
        if value_limit is not None:
            bar, met = f"value <= {value_limit:.4f}", np.mean(values) <= value_limit
        else:
            bar, met = f"ratio <= {limit}", np.mean(values) <= limit * against
        label = label or LABELS[measure]
        return Line(self.set, label, values, reference, against, bar, bool(met))

    def tie(self, measure, reference=None, label=None):
        """No worse than the reference, or by at most one standard error."""
        reference = reference or self.best(measure)
        own, other = (
            [np.asarray(result[model][measure]) for result in self.results]
            for model in ("AFM", reference)
        )
        statistic = self._statistic(measure, own, other)
        return Line(
            self.set,
            label or LABELS[measure],
            self.means(measure, "AFM"),
            reference,
            float(np.mean(self.means(measure, reference))),
            "<= reference + 1 SE",
            statistic is None or statistic <= 1.0,
            statistic,
        )

    def _statistic(self, measure, own, other):
        """Paired difference in units of its standard error.

        The seeds of a simulated system are independent recordings. Those of a real
        one share the test rows, whose losses are averaged over seeds.
        """
        lead_time, groups = 1, [r.test_runs for r in self.recordings]
        if measure == "trajectory":
            horizon = self.recordings[0].horizon
            starts = [r.origins(op.N_ORIGINS) for r in self.recordings]
            groups = [g[rows] for g, (rows, _) in zip(groups, starts, strict=True)]
            lead_time = -(-horizon // starts[0][1])
        if self.simulated:
            labels = np.repeat(np.arange(len(own)), [len(g) for g in groups])
            own, other = np.concatenate(own), np.concatenate(other)
        else:
            labels = groups[0]
            own, other = np.mean(own, axis=0), np.mean(other, axis=0)
        test = diebold_mariano(own, other, lead_time=lead_time, groups=labels)
        return float(test.statistic) if np.isfinite(test.statistic) else None

    def coverage(self):
        """The coverage of 90 % intervals at the lead time where it is worst."""
        low, high = (0.87, 0.93) if self.simulated else (0.85, 0.95)
        by_lead = np.array([result["AFM"]["coverage"] for result in self.results])
        worst = np.abs(by_lead.mean(axis=0) - op.LEVEL).argmax()
        values = by_lead[:, worst].tolist()
        return Line(
            self.set,
            f"90 % coverage, lead {worst + 1}",
            values,
            "nominal, worst lead",
            op.LEVEL,
            f"{low} to {high}",
            bool(low <= np.mean(values) <= high),
        )

    def saturation(self):
        """Far ahead the forecast is no worse than draws from the past."""
        own, other = (
            [float(result[model]["crps by lead"][-1]) for result in self.results]
            for model in ("AFM", op.CLIMATOLOGY)
        )
        against, limit = float(np.mean(other)), 1.05
        return Line(
            self.set,
            f"CRPS, {self.recordings[0].horizon} steps ahead",
            own,
            op.CLIMATOLOGY,
            against,
            f"ratio <= {limit}",
            bool(np.mean(own) <= limit * against),
        )

    def few_steps(self):
        """Few evaluations of the flow are as good as many."""
        many = "AFM, 64 evaluations"
        for model, label, limit in (
            ("AFM", "steps as set", 1.01),
            ("AFM, 1 evaluation", "1 evaluation", 1.05),
        ):
            # A seed that kept no flow evaluates nothing, and is the same with any.
            runs = [
                result if many in result else result | dict.fromkeys((model, many), own)
                for result in self.results
                for own in [result["AFM"]]
            ]
            n_flows = sum(many in result for result in self.results)
            table = _Table(self.recordings, runs)
            lines = [
                table.ratio(measure, many, limit, model=model, label=f"{name}, {label}")
                for measure, name in (("crps", "CRPS"), ("energy", "energy"))
            ]
            worse = max(lines, key=lambda line: line.ratio)
            worse.reference = f"64; {n_flows}/{len(runs)} kept a flow"
            yield worse

    def economy(self):
        """Few rows are enough for a simple forecast, and more do no harm."""
        few = [name for name in self.results[0] if name.endswith("200 rows")]
        if few:
            yield self.ratio(
                "crps", few[1], 1.02, model=few[0], label="CRPS, 200 training rows"
            )
        if "AFM, 1000 rows" in self.results[0]:
            yield self.tie("crps", "AFM, 1000 rows", label="CRPS, all training rows")


LABELS = {
    "crps": "CRPS, 1 step",
    "energy": "energy, 1 step",
    "trajectory": "energy of trajectories",
    "crps sum": "CRPS-sum, 5 x 30 steps",
}
