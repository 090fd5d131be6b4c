"""Commands as users call them, in this process."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from stq_deploy.cli import cli


def invoke(*arguments: object) -> Result:
    """Run `stq-deploy` with these arguments."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def json_of(result: Result, exit_code: int = 0) -> dict[str, Any]:
    """What a command that ended so printed on stdout: one JSON object."""
    assert result.exit_code == exit_code, result.output
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value
