"""The link between host and board: frames, reliable delivery, and the host's requests.

The rest of the program uses `Session` over a `Transport`. docs/PROTOCOL.md has the bytes and the reasons.
"""
