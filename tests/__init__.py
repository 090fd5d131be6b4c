"""The tests. What several of them use lies in `tests/helpers`; no test module imports another."""
