"""The flow in pure torch: paths, velocity, matching, solvers, density."""
