"""The networks in pure torch: history encoders, stimulus branches, velocity."""
