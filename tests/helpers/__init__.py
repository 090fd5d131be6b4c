"""What tests share: networks and model files to test with, boards in memory, kernels as functions. No tests."""
