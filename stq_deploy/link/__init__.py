"""The link between host and board: frames, reliable delivery, and the questions a host may ask.

`Session` over a `Transport` is what the rest of the program uses. docs/PROTOCOL.md has the bytes and the
reasons.
"""
