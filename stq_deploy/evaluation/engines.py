"""Engines that run the parts of a long run: one after the other here, or in parallel on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install

Engine = Callable[[Callable[[int], Any], Iterable[int]], Iterator[tuple[int, Any]]]
"""(task, numbers) -> (number, the task's result for it), in any order."""


def run_locally(task: Callable[[int], Any], numbers: Iterable[int]) -> Iterator[tuple[int, Any]]:
    """One after the other, in this process."""
    for number in numbers:
        yield number, task(number)


def run_on_ray(task: Callable[[int], Any], numbers: Iterable[int]) -> Iterator[tuple[int, Any]]:
    """In parallel on a Ray cluster: that of $RAY_ADDRESS, else a new one on this computer.

    All its computers must see the data and the output folder under the same paths. Raises StqError if Ray is not
    installed, and what a task raises.
    """
    try:
        import ray
    except ImportError as error:
        raise StqError(
            "running on Ray needs Ray",
            cause=f"the Python module {error.name!r} is not installed",
            next=f"install it: {how_to_install('ray')}; or leave --engine ray out",
        ) from error
    ray.init(ignore_reinit_error=True, log_to_driver=False)

    def run(number: int) -> Any:  # Ray takes functions only
        return task(number)

    remote = ray.remote(run)
    running = {remote.remote(number): number for number in numbers}
    while running:
        (done, *_), _ = ray.wait(list(running))
        try:
            yield running.pop(done), ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


ENGINES: dict[str, Engine] = {"local": run_locally, "ray": run_on_ray}
