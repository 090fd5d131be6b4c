"""`./tools/test --port PORT`: the demo on the board that is connected there and runs the demo's build."""

import json

import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli


def test_the_demo_on_a_connected_board(request: pytest.FixtureRequest) -> None:
    port = request.config.getoption("--port")
    if port is None:
        pytest.skip("no --port")
    result = CliRunner().invoke(cli, ["demo", "--port", port, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["differing_layers"] == 0
    assert [one["board_reference_mismatches"] for one in found["results"]] == [0] * 4
