"""`backend="STM32"` for hls4ml: our arithmetic and our firmware behind hls4ml's compile, predict and build.

hls4ml finds `register` by the entry point `hls4ml.backends`. Nothing else of stq-deploy imports this folder, and
hls4ml is imported in `backend` alone. docs/HLS4ML.md is for its users.
"""
