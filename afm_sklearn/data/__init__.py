"""The recording at rest: its windows, its runs, its scale, what is held out."""
