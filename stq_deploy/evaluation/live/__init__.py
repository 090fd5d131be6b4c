"""Black-box attacks with a board as their oracle, and the same attacks on the host twin, query by query."""
