"""What scorers, comparison and plotting share.

An estimator and its data become a forecaster and the rows that reach it (`unwrap`), of
which some may start trajectories (`origins`); it draws from them in chunks (`draws`),
and the draws are scored (`scores`).
"""
