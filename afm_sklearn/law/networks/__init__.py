"""The networks of a law in pure torch: history encoders, laws of the channels."""
