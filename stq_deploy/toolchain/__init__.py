"""Compilers, the C project, and what is measured in the built image: sizes by region and layer, and stack."""
