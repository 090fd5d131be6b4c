"""A run's progress for people: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from stq_deploy.research.training.epoch_record import EpochRecord


class Reporter(Protocol):
    """The interface that the trainer calls. Every method may be a no-op."""

    def start(self, title: str, epochs: int, steps: int) -> None:
        """A run of `epochs` epochs of `steps` steps begins."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Step number `step` (from 0) of epoch `epoch` (from 0) is done."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done; `record` is its history line."""

    def note(self, text: str) -> None:
        """Any other message."""

    def close(self) -> None:
        """The run ended, with or without an error."""


class Silent:
    """Prints nothing."""

    def start(self, title: str, epochs: int, steps: int) -> None: ...
    def step(self, epoch: int, step: int, loss: float) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """One epoch in one line."""
    validated = record.validated
    columns = {
        "validation": validated.validation_accuracy,
        "attacked": validated.robust_accuracy,
        "certified": validated.certified_accuracy,
    }
    shown = "".join(f"  {name} {100 * share:5.2f} %" for name, share in columns.items() if share is not None)
    return (
        f"epoch {record.epoch:>4}/{epochs}  loss {record.train_loss:.4f}  "
        f"train {100 * record.train_accuracy:5.2f} %{shown}  {record.seconds:.0f} s"
    )


class PlainProgress(Silent):
    """One line per epoch, and one per minute in between, for logs."""

    _EVERY = 60.0

    def __init__(self, stderr: bool = False) -> None:
        self._stderr = stderr
        self._epochs = self._steps = 0
        self._last = time.monotonic()

    def start(self, title: str, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self.note(title)

    def step(self, epoch: int, step: int, loss: float) -> None:
        if time.monotonic() - self._last >= self._EVERY:
            self._last = time.monotonic()
            self.note(f"  epoch {epoch + 1}/{self._epochs}, step {step + 1}/{self._steps}, loss {loss:.4f}")

    def epoch(self, record: EpochRecord) -> None:
        self._last = time.monotonic()
        self.note(epoch_line(record, self._epochs))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr if self._stderr else sys.stdout, flush=True)


class Rich(Silent):
    """A progress bar under the lines of the finished epochs."""

    def __init__(self, stderr: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=stderr),
        )
        self._task: Any = None
        self._epochs = 0
        self._steps = 0

    def start(self, title: str, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._progress.console.print(title, highlight=False)
        self._task = self._progress.add_task("training", total=epochs * steps)
        self._progress.start()

    def step(self, epoch: int, step: int, loss: float) -> None:
        self._progress.update(
            self._task,
            completed=epoch * self._steps + step + 1,
            description=f"epoch {epoch + 1}/{self._epochs} loss {loss:.3f}",
        )

    def epoch(self, record: EpochRecord) -> None:
        self._progress.console.print(epoch_line(record, self._epochs), highlight=False)

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)

    def close(self) -> None:
        self._progress.stop()


class Several(Silent):
    """Passes calls on to several reporters."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def start(self, title: str, epochs: int, steps: int) -> None:
        for reporter in self._reporters:
            reporter.start(title, epochs, steps)

    def step(self, epoch: int, step: int, loss: float) -> None:
        for reporter in self._reporters:
            reporter.step(epoch, step, loss)

    def epoch(self, record: EpochRecord) -> None:
        for reporter in self._reporters:
            reporter.epoch(record)

    def note(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.note(text)

    def close(self) -> None:
        for reporter in self._reporters:
            reporter.close()


def default_reporter(stderr: bool = False) -> Reporter:
    """Rich on a terminal, plain lines otherwise; on standard error where results go to standard output."""
    return Rich(stderr) if (sys.stderr if stderr else sys.stdout).isatty() else PlainProgress(stderr)
