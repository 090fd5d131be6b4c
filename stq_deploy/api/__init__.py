"""The Python interface, which `import stq_deploy` offers (docs/API.md): convert, run, build and verify a network.

`stq_deploy/__init__.py` lists the public names. Everything else in the package is internal. The commands and hls4ml's
backend call the same functions. Those named `..._network` and `..._levels` are for them: they take options as objects,
and are not re-exported. Every mistake raises `StqError`.
"""
