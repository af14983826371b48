import subprocess
import sys

import pytest
import torch

from afm_sklearn.optimizers import LBFGS, AdamW


def _descend(optimizer, arguments, n_steps=20):
    weights = torch.linspace(-1, 1, 7).requires_grad_()
    target = torch.arange(7.0)
    solver = optimizer([weights], **arguments)

    def loss():
        solver.zero_grad()
        total = (weights.sin() - target).square().sum()
        total.backward()
        return total

    for _ in range(n_steps):
        solver.step(loss)
    return weights.detach()


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1, "fused": True}),
        (LBFGS, torch.optim.LBFGS, {"max_iter": 3, "line_search_fn": "strong_wolfe"}),
    ],
)
def test_steps_are_those_of_torch(ours, theirs, arguments):
    assert torch.equal(_descend(ours, arguments), _descend(theirs, arguments))


@pytest.mark.parametrize("family", ["gaussian", "counts"])
def test_a_fit_does_not_import_a_compiler(family):
    code = f"""
import sys
import numpy as np
from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
y = np.random.default_rng(0).poisson(1.0, size=(120, 2)).astype(float)
X = SlidingWindow(3).fit_transform(design_matrix(y))
model = AFMForecaster(base="learned", family="{family}", max_epochs=1).fit(X, y)
model.sample(X, 3)
print(sorted(m for m in sys.modules if m in ("torch._dynamo", "sympy")))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
