"""`backend="STM32"` for hls4ml: our arithmetic and our firmware behind hls4ml's compile, predict and build.

hls4ml finds `register` by the entry point `hls4ml.backends`. Nothing else in stq-deploy imports this folder, and only
`backend` imports hls4ml. docs/HLS4ML.md is for its users.
"""
