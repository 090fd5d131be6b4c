"""Cycles of executed code by estimate, from models of the core. Nothing here is measured (docs/PROFILING.md)."""
