"""Workflows written in Python: how they are declared, what their functions are given, and the two programs that import
a user's code (`describe` to read a definition, `call` to run one function). Nothing else of gitckpt imports it.

Starts fast: until a function asks the active run for something, no module of the engine is loaded.
"""
