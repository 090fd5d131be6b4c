"""Typed records as the values that JSON has."""

from __future__ import annotations

from collections.abc import Mapping


def json_value(value: object) -> object:
    """A value as `json.dumps` takes it: a record is what its `to_json` gives, a tuple a list; so are values within."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: json_value(one) for name, one in value.items()}
    return [json_value(one) for one in value] if isinstance(value, tuple) else value
