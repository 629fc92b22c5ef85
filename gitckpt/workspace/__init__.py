"""The directory on disk: what of it is captured, reading it into git objects, and making it equal to a
checkpoint.

Owns the walk, the stat cache, `snapshot` and `become`. Knows nothing about workflows, phases, or refs.
"""
