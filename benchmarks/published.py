"""The method as it was published, written out in plain torch, beside ours.

    python benchmarks/published.py            sampling at the paper's size, trainings
    python benchmarks/published.py --quick    smaller

The textbook: a network of the flattened window, the noised target and the time is
trained by flow matching on the linear path from N(0, I), and integrated by 100 steps
of Tsit5 with six evaluations each; its window is encoded once a step. Ours: defaults.

Sampling is one origin, 100 trajectories of 8 steps of 1000 channels, with a window of
22 steps and 100 stimulus channels. The cost of solver steps is the same for each: a few
are run, and scaled. Training is judged by the CRPS of rows that neither saw, once the
textbook has taken as long as our whole fit, and two and five times as long; it is then
drawn from with 20 solver steps. Seconds are those of the processor.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from afm_sklearn import AFMForecaster, SlidingWindow, crps, design_matrix
from afm_sklearn.datasets import make_double_well, make_linear_var

HORIZON, N_SAMPLES, N_SOLVER_STEPS, N_RUN = 8, 100, 100, 3
HIDDEN, N_LAYERS, BATCH, LR = 512, 3, 64, 1e-3
N_TEST, N_JUDGED, N_SCORED = 600, 100, 50  # rows, those judged, draws of each
N_JUDGING_STEPS = 20  # of the solver
TIMES = 1, 2, 5  # our fit, after which the textbook is judged

# Tsitouras (2011): nodes, rows of the tableau, and weights.
NODES = (0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0)
TABLEAU = (
    (),
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (
        5.325864828439257,
        -11.748883564062828,
        7.4955393428898365,
        -0.09249506636175525,
    ),
    (
        5.86145544294642,
        -12.92096931784711,
        8.159367898576159,
        -0.071584973281401,
        -0.028269050394068383,
    ),
)
WEIGHTS = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)


class Textbook(nn.Module):
    """A velocity of the noised target, the time, and the window."""

    def __init__(self, length, n_channels, d):
        super().__init__()
        self.d = d
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(length * n_channels, HIDDEN), nn.SiLU()
        )
        sizes = [d + 1 + HIDDEN] + [HIDDEN] * N_LAYERS
        layers = [
            part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())
        ]
        self.field = nn.Sequential(*layers, nn.Linear(HIDDEN, d))

    def forward(self, z: Tensor, t: Tensor, code: Tensor) -> Tensor:
        return self.field(torch.cat([z, t, code], 1))

    def loss(self, windows: Tensor, y: Tensor) -> Tensor:
        z, t = torch.randn_like(y), torch.rand(len(y), 1)
        velocity = self((1 - t) * z + t * y, t, self.encoder(windows))
        return (velocity - (y - z)).square().mean()

    @torch.inference_mode()
    def draw(self, windows: Tensor, n_steps: int) -> Tensor:
        """Draw a target for each window."""
        code, z = self.encoder(windows), torch.randn(len(windows), self.d)
        size = 1 / n_steps
        for k in range(n_steps):
            slopes: list[Tensor] = []
            for node, row in zip(NODES, TABLEAU, strict=True):
                at = z + size * _combined(row, slopes)
                t = torch.full((len(z), 1), (k + node) * size)
                slopes.append(self(at, t, code))
            z = z + size * _combined(WEIGHTS, slopes)
        return z


def _combined(weights, slopes):
    return sum(w * slope for w, slope in zip(weights, slopes, strict=True))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args().quick
    torch.manual_seed(0)
    sampling(200 if is_quick else 1000)
    n = 1500 if is_quick else 4000
    wells = make_double_well(n + N_TEST, n_channels=20, random_state=0)
    training(f"20 double wells, {n} rows", wells, n)
    linear = make_linear_var(n + N_TEST, n_channels=50, n_stimuli=5, random_state=0)
    training(f"linear system of 50 channels, {n} rows", linear, n)


def sampling(d, length=22, n_stimuli=100):
    """Time trajectories of a large population from one window."""
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(300, d)).astype(np.float32)
    stimulus = rng.normal(size=(300, n_stimuli)).astype(np.float32)
    X = SlidingWindow(length).fit_transform(design_matrix(activity, stimulus))
    X = np.asarray(X, np.float32)
    model = AFMForecaster(base="learned", max_epochs=1, random_state=0).fit(X, activity)
    future = stimulus[None, :HORIZON]

    def ours():
        model.sample_trajectories(
            X[-1:], HORIZON, stimulus=future, n_samples=N_SAMPLES, random_state=0
        )

    net = Textbook(length, d + n_stimuli, d)
    windows = torch.tensor(X[-1:]).repeat_interleave(N_SAMPLES, 0)
    ours()
    took = min(seconds(ours) for _ in range(5))
    a_step = min(seconds(lambda: net.draw(windows, N_RUN)) for _ in range(3)) / N_RUN
    textbook = HORIZON * N_SOLVER_STEPS * a_step
    print(
        f"sampling 1 x {N_SAMPLES} x {HORIZON} x {d}: ours {took:.2f} s, textbook "
        f"{textbook:.1f} s ({N_RUN} of {N_SOLVER_STEPS} solver steps run, scaled): "
        f"{textbook / took:.0f} times faster",
        flush=True,
    )


def training(name, data, n):
    """Train the textbook until it is as good as ours, or its time is up."""
    X = SlidingWindow(5).fit_transform(design_matrix(data.activity, data.stimulus))
    X, y = np.nan_to_num(np.asarray(X)), data.activity
    test = np.arange(n, n + N_TEST)[:: N_TEST // N_JUDGED]
    model, start = AFMForecaster(random_state=0), time.process_time()
    model.fit(X[:n], y[:n])
    took = time.process_time() - start
    goal = crps(y[test], model.sample(X[test], N_SCORED, random_state=0)).mean()
    net, spent, told = Textbook(*X.shape[1:], y.shape[1]), 0.0, []
    trained = textbook_epochs(net, X[:n], y[:n])
    for times in TIMES:
        while spent < times * took:
            spent += next(trained)
        told.append(f"{textbook_crps(net, X, y, n, test):.4f} after {spent:.0f} s")
    print(
        f"training, {name}: ours CRPS {goal:.4f} in {took:.0f} s; textbook "
        + ", ".join(told),
        flush=True,
    )


def textbook_epochs(net, X, y):
    """Train an epoch at a time, and tell the seconds that it took."""
    windows, targets = (torch.tensor(scaled(part, part)).float() for part in (X, y))
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR)
    while True:
        start = time.process_time()
        for rows in torch.randperm(len(windows)).split(BATCH):
            optimizer.zero_grad()
            net.loss(windows[rows], targets[rows]).backward()
            optimizer.step()
        yield time.process_time() - start


def textbook_crps(net, X, y, n, test):
    windows = torch.tensor(scaled(X[test], X[:n])).float()
    windows = windows.repeat_interleave(N_SCORED, 0)
    z = net.draw(windows, N_JUDGING_STEPS).numpy().reshape(len(test), N_SCORED, -1)
    return crps(y[test], y[:n].mean(0) + y[:n].std(0) * z).mean()


def scaled(values, like):
    return (values - like.mean(0)) / np.where(like.std(0) > 0, like.std(0), 1)


def seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
