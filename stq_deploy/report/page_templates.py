"""The environment that pages are rendered in: everything printed is escaped, and a missing value is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Templates of `stq_deploy/report/templates`."""
    return Environment(
        loader=PackageLoader("stq_deploy.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
