"""Samples through executors: scores with intervals, comparisons, resumable runs, verify, the demo."""
