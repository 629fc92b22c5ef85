"""The use cases: what each command does, without a terminal. The one place that chooses implementations.

Each module here loads only what its commands need.
"""
