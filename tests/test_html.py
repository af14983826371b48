"""What a notebook shows: scikit-learn's diagram and, once fitted, what was kept."""

import re
from html import unescape
from itertools import pairwise

import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.html import kept_html


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    y = np.zeros((240, 2))
    for t in range(1, len(y)):
        y[t] = np.tanh(2 * y[t - 1, ::-1]) * 0.8 + 0.3 * rng.normal(size=2)
    model = AFMForecaster(
        window_length=2, max_epochs=1, hidden_dim=8, random_state=np.int64(0)
    )
    return model.fit(design_matrix(y), y)


def _without_ids(text):
    return re.sub(r"sk-(\w+)-id-\d+", r"sk-\1-id", text)


def _below(text):
    """Return what stands below the diagram."""
    mark = "<details open><summary>Kept"
    return mark + text.partition(mark)[2] if mark in text else ""


def test_what_was_kept_stands_below_the_diagram(fitted):
    text = fitted._repr_mimebundle_()["text/html"]
    assert _without_ids(text) == _without_ids(fitted._repr_html_())
    diagram = _without_ids(estimator_html_repr(fitted))
    below = _below(text)
    assert _without_ids(text) == diagram + below
    cells = [unescape(cell) for cell in re.findall("<td>(.*?)</td>", below)]
    assert cells[:4] == ["base_", fitted.base_, "family_", fitted.family_]
    assert f"{fitted.rows_['given']} given, {fitted.rows_['fitted on']} fitted" in below
    shown = dict(pairwise(cells))
    weights = {r["candidate"]: r["weight"] for r in fitted.selection_}
    for name, weight in weights.items():
        if weight >= 0.1:
            assert shown[name] == f"{weight:.2f}"


def test_nothing_is_added_before_a_fit_and_in_other_diagrams(fitted):
    model = AFMForecaster()
    text = model._repr_html_()
    assert _without_ids(text) == _without_ids(estimator_html_repr(model))
    pipe = make_pipeline(SlidingWindow(2), fitted)
    assert _below(pipe._repr_html_()) == ""
    assert estimator_html_repr(pipe).count("AFMForecaster") > 0


def test_text_displays_have_no_diagram(fitted):
    with config_context(display="text"):
        assert set(fitted._repr_mimebundle_()) == {"text/plain"}
        assert not hasattr(fitted, "_repr_html_")


def test_names_are_escaped(fitted):
    class Told:
        base_, family_, history_ = "<b>pool</b>", "gaussian", {}
        selection_ = ()
        base = "<script>"

    text = kept_html(Told())
    assert "<script>" not in text and "&lt;b&gt;pool&lt;/b&gt;" in text
    assert "rows" not in text
