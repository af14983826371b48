"""The flow in pure torch: paths, base distribution, solvers, density."""
