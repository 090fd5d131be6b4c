"""A stand-in for pyocd: a program on PATH that says what pyocd 0.46 says, as read in its source."""

from __future__ import annotations

import json
from pathlib import Path

FAKE = """#!{python}
import json, sys, time
from pathlib import Path
here = Path(__file__).parent
scenario = json.loads((here / "scenario.json").read_text())
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + chr(10))
step = scenario[sys.argv[1]]
time.sleep(step.get("seconds", 0))
sys.stdout.write(step.get("stdout", ""))
sys.stderr.write(step.get("stderr", ""))
sys.exit(step.get("code", 0))
"""

NUCLEO = "066CFF505750827567154312"
OTHER = "0670FF3932504E3043102150"


def probes(*uids: str) -> str:
    """The JSON of `pyocd json --probes`."""
    boards = [
        {
            "unique_id": uid,
            "info": "STMicroelectronics NUCLEO-H743ZI",
            "board_vendor": "STMicroelectronics",
            "board_name": "NUCLEO-H743ZI",
            "target": "stm32h743xx",
            "vendor_name": "STMicroelectronics",
            "product_name": "STM32 STLink",
        }
        for uid in uids
    ]
    version = {"major": 1, "minor": 1}
    return json.dumps({"pyocd_version": "0.46.0", "version": version, "status": 0, "boards": boards})


class FakePyocd:
    """Sets what the program on PATH answers, and tells how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenario: dict[str, dict[str, object]] = {}

    def answer(self, command: str, **step: object) -> None:
        self.scenario[command] = step
        (self.folder / "scenario.json").write_text(json.dumps(self.scenario))

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
