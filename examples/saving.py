"""Can someone else draw my forecasts, bit for bit?

Question: a model was fitted on one machine, or last year. Can it be kept in a file, be
read by someone who has no reason to trust me, and give the very same draws?

``save`` writes one file in the safetensors format: numbers and a description, nothing
that is executed. Here another Python process reads it and draws the same trajectories
from the same seed; the bytes of both are compared. Then one byte of the file is lost.

How to read the figure: on the left, the fan chart of the model that was read, of one
calcium trace. On the right, draws of the other process against draws of the model that
was saved: not near the diagonal, but on it, to the last bit.

What it cannot do: promise the last digit on another machine or with another version of
torch, where sums may be carried out in another order. Boosted trees and someone else's
callable are refused, since to read them is to execute code.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, design_matrix, load
from afm_sklearn.datasets import make_calcium
from afm_sklearn.plotting import ForecastDisplay

N_TRAIN, HORIZON, N_PAST, NEURON = 1200, 20, 20, 5
OUT = Path("demo_output") / "saving.png"
SOMEONE_ELSE = """
import sys
import numpy as np
from afm_sklearn import load
model, asked = load(sys.argv[1]), np.load(sys.argv[2])
draws = model.sample_trajectories(
    asked["window"], len(asked["stimulus"][0]), stimulus=asked["stimulus"],
    random_state=0,
)
np.save(sys.argv[3], draws)
"""


def main():
    data = make_calcium(N_TRAIN + 300, 10, mean_rate=0.08, random_state=0)
    X, y = design_matrix(data.activity, data.stimulus), data.activity
    model = AFMForecaster(window_length=3, max_epochs=20, random_state=0)
    model.fit(X[:N_TRAIN], y[:N_TRAIN])
    origin = N_TRAIN + 200
    window = model.make_windows(X)[origin : origin + 1]
    future = data.stimulus[None, origin : origin + HORIZON]
    mine = model.sample_trajectories(window, HORIZON, stimulus=future, random_state=0)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.afm"
        model.save(path)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {model.base_}")
        asked, answer = Path(folder) / "asked.npz", Path(folder) / "answer.npy"
        np.savez(asked, window=window, stimulus=future)
        command = [sys.executable, "-c", SOMEONE_ELSE, path, asked, answer]
        subprocess.run(command, check=True)
        theirs = np.load(answer)
        print(f"the same bytes: {mine.tobytes() == theirs.tobytes()}")
        path.write_bytes(path.read_bytes()[:-1])
        try:
            load(path)
        except ValueError as error:
            print(f"one byte less: {str(error).replace(folder, '...')}")
    draw(y[origin - N_PAST : origin + HORIZON, NEURON], mine, theirs)


def draw(trace, mine, theirs):
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), width_ratios=(3, 2), layout="constrained"
    )
    ForecastDisplay(
        trace[N_PAST:], theirs[0, :, :, NEURON], history=trace[:N_PAST], unit="frames"
    ).plot(left, name="fluorescence")
    right.axline((0, 0), slope=1, color="0.7", lw=1)
    right.plot(mine[0, :, :, NEURON].ravel(), theirs[0, :, :, NEURON].ravel(), ".")
    right.set(
        xlabel="draws of the model that was saved",
        ylabel="draws of another process",
        aspect="equal",
    )
    difference = np.abs(mine - theirs).max()
    right.set_title(f"largest difference: {difference:g}", loc="left")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
