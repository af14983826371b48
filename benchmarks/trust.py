"""The default forecaster beside hard opponents, on recordings of many labs.

    python benchmarks/trust.py --data FOLDER                 everything
    python benchmarks/trust.py --data FOLDER m1 eeg wells    some of it
    python benchmarks/trust.py --data FOLDER NAME            FOLDER/NAME.npz of yours
    python benchmarks/trust.py --data FOLDER --opponents     every opponent too
    python benchmarks/trust.py --data FOLDER --seeds 3 --save FILE.json
    python benchmarks/trust.py --data FOLDER --form linear --save FILE.json
    python benchmarks/trust.py --save FILE.json --markdown   the tables of saved runs

Nine recordings, read from FOLDER, and nine simulated systems, which need none; where
it is named, any other file in FOLDER, which then holds ``activity``, ``n_train``,
``window`` and ``zscore``, and if need be ``stimulus`` and ``runs``. A line or two
each: AFM over the best opponent of each measure, for CRPS and energy score one step
ahead, the energy score of 8-step trajectories and CRPS at leads 1, 2, 4, 8 and 16,
which are those of 16-step trajectories; for simulated systems also over the true law.
Then how often 90 % intervals cover at these leads, by randomised ranks, the seconds
of the fit, of 100 draws and the mean of about 600 rows and of the trajectories of about
60, and what was kept.

Opponents: ridge on the window and on each channel's own past, with Gaussian and with
bootstrapped residuals; a ridge for every lead, with Gaussian and with bootstrapped
trajectories of errors; random walk; climatology; a Poisson GLM where all values are
counts; boosting of up to 10 channels. They are fitted once, AFM once a seed.

Values are scaled by the standard deviation in training. With --save what was measured
is kept and not measured again. The exit status is 1 if a ratio to an opponent is above
1.005.
"""

import argparse
import sys
from pathlib import Path

from trust_measures import FORMS, ORACLE, form_name, measure, opponents
from trust_recordings import NAMES, RECORDED, SIMULATED, read
from trust_table import Results, forms_markdown, geometric_means, markdown

import afm_sklearn as afm


def main():
    arguments = parse()
    results, model = Results(arguments.save), form_name(arguments.form)
    if arguments.markdown:
        names = [n for n in arguments.names if model in results.found.get(n, {})]
        print(markdown([results.comparison(name, model) for name in names]))
        forms = [form_name(f) for f in FORMS]
        if any(set(forms) <= set(results.found[name]) for name in names):
            print(f"\n{forms_markdown(results, names, forms)}")
        return
    comparisons = []
    for name in arguments.names:
        run(name, arguments, results)
        comparison = results.comparison(name, model)
        comparisons.append(comparison)
        if arguments.opponents:
            print(*comparison.opponent_lines(), sep="\n")
        print(*comparison.lines(), sep="\n", flush=True)
    mean = geometric_means([c.ratios for c in comparisons])
    print("mean        " + "  ".join(f"{m} {ratio:.3f}" for m, ratio in mean.items()))
    sys.exit(1 if any(c.missed for c in comparisons) else 0)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the recordings")
    parser.add_argument("--opponents", action="store_true", help="print every opponent")
    parser.add_argument("--seeds", type=int, default=1, help="fits of AFM")
    parser.add_argument("--form", choices=FORMS, default="default", help="form of AFM")
    parser.add_argument("--save", type=Path, metavar="FILE.json")
    parser.add_argument("--markdown", action="store_true", help="print what is saved")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.markdown:
        if arguments.save is None:
            parser.error("--markdown needs --save FILE.json, the file to read")
        return arguments
    read = [name for name in arguments.names if name not in SIMULATED]
    if read and arguments.data is None:
        parser.error("--data is needed to read recordings")
    unknown = [
        name
        for name in read
        if name not in RECORDED and not (arguments.data / f"{name}.npz").is_file()
    ]
    if unknown:
        parser.error(
            f"unknown names {unknown}, expected some of {', '.join(NAMES)}, or of a "
            f"file NAME.npz in {arguments.data}"
        )
    return arguments


def run(name, arguments, results):
    """Measure what is not known yet."""
    parameters, model = FORMS[arguments.form], form_name(arguments.form)
    recording = read(name, arguments.data)
    models = {
        (model, seed): afm.AFMForecaster(random_state=seed, **parameters)
        for seed in range(arguments.seeds)
    }
    models |= {(label, 0): other for label, other in opponents(recording).items()}
    if recording.oracle is not None:
        models[ORACLE, 0] = recording.oracle
    for (label, seed), unfitted in models.items():
        if not results.has(name, label, seed):
            results.add(name, label, seed, measure(unfitted, recording))


if __name__ == "__main__":
    main()
