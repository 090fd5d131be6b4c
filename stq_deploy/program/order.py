"""Finds the order of the layers that needs the least memory at its worst moment.

The memory in use between two layers depends only on which layers have run, not on their order. So an order is a path
through sets of layers, and a limit on memory forbids some sets. The search looks for a path within the smallest
possible limit, and then within the next one: the first limit with a path is the best. Chains with few branches have few
sets. If there are too many sets, the exact search stops at a budget. A short search then takes the first path that it
finds, and the last refuted limit bounds every order from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stq_deploy.network import Network
from stq_deploy.program.buffers import aligned
from stq_deploy.program.in_place import replaceable_inputs
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.views import Views

BUDGET = 10_000
"""Budget of the exact search, in sets of layers."""
SHORT_LOOK = 500
"""Budget for each further limit, in sets of layers, once the exact search has stopped."""
COARSENESS = 50
"""Each further limit is larger by at least this part."""


@dataclass(frozen=True, eq=False)
class Execution:
    """The layers of a network in the order they run.

    Attributes:
        layers: ops that do work on the device, with their kernels; layer `i` is element `i`.
        views: how tensors share memory.
        live_bytes: most bytes in use during one layer: tensors, and its scratch memory if that is in the arena.
        lower_bound: bytes in use during some layer of every order; equals `live_bytes` if the order is proved best.
    """

    layers: tuple[Candidate, ...]
    views: Views
    live_bytes: int
    lower_bound: int


def find_execution(
    network: Network, views: Views, layers: Sequence[Candidate], budget: int = BUDGET, *, with_scratch: bool = True
) -> Execution:
    """The order of least memory; among equally good ones, the network's own if it is one of them.

    Args:
        views: of the network.
        layers: the ops that do work on the device, with their kernels, in the network's own order.
        budget: sets of layers that the exact search may visit.
        with_scratch: whether the arena holds the kernels' scratch memory, too.
    """
    search = _OrderSearch(network, views, layers, with_scratch)
    order = list(range(len(layers)))
    own_peak = search.peak(order)
    limit = bound = search.least_peak()
    while limit < own_peak:
        path, complete, beyond = search.find_path(limit, max(budget, SHORT_LOOK))
        if path is not None:
            order = path
            break
        budget -= search.looked_at
        if complete and bound == limit:
            limit = bound = beyond
        else:
            limit = max(beyond, limit + limit // COARSENESS)
    bound = min(bound, own_peak)
    return Execution(tuple(layers[i] for i in order), views, aligned(search.peak(order)), aligned(bound))


def memory_of_candidates(
    network: Network, views: Views, options: Sequence[Sequence[Candidate]]
) -> dict[Candidate, int]:
    """Bytes of tensors and scratch in use while each candidate runs, with the layers in the network's own order.

    Args:
        options: for each layer, its candidates.
    """
    search = _OrderSearch(network, views, [layer[0] for layer in options], with_scratch=True)
    return search.memory_of_candidates(options)


@dataclass(frozen=True)
class _OrderStep:
    """A layer run next: the most bytes in use by then, the bytes in use after it, the layers that have run."""

    peak: int
    live: int
    done: int


class _OrderSearch:
    """Sets of layers are bit masks: bit i is layer i of the network's own order."""

    def __init__(self, network: Network, views: Views, layers: Sequence[Candidate], with_scratch: bool) -> None:
        # Pieces of a whole share units of the alignment, and so may tensors tied to them in place.
        self._views = views
        size = (lambda n: n) if views.wholes else aligned
        self._size = {name: size(network.tensors[name].bytes) for pieces in views.pieces.values() for name in pieces}
        self._layers = ops = [layer.work.op for layer in layers]
        self._reads = [{piece for name in op.inputs for piece in views.pieces[name]} for op in ops]
        self._scratch = [size(layer.scratch_bytes) if with_scratch else 0 for layer in layers]
        self._replaceable = [[views.pieces[name] for name in replaceable_inputs(one, views)] for one in layers]
        self._kept = {piece for name in network.outputs for piece in views.pieces[name]}
        writer = {op.output: i for i, op in enumerate(ops)}
        self._needs = [sum(1 << writer[name] for name in names if name in writer) for names in self._reads]
        self._readers = dict.fromkeys(self._size, 0)
        for i, names in enumerate(self._reads):
            for name in names:
                self._readers[name] |= 1 << i
        self._all = (1 << len(layers)) - 1
        self._start = _OrderStep(self._size[network.input], self._size[network.input], 0)

    def peak(self, order: list[int]) -> int:
        """Most bytes in use during one layer of an order."""
        step = self._start
        for i in order:
            step = self._run(step, i)
        return step.peak

    def memory_of_candidates(self, options: Sequence[Sequence[Candidate]]) -> dict[Candidate, int]:
        """The function of this name."""
        step, found = self._start, {}
        for i, layer in enumerate(options):
            dying = self._dying(i, step.done | 1 << i)
            for one in layer:
                replaceable = [self._views.pieces[name] for name in replaceable_inputs(one, self._views)]
                found[one] = step.live + self._own(i, aligned(one.scratch_bytes), replaceable, dying)
            step = self._run(step, i)
        return found

    def least_peak(self) -> int:
        """Bytes that some layer of every order needs: its inputs, its scratch, and the rest of its output."""
        needs = [sum(self._size[name] for name in names) for names in self._reads]
        outputs = [self._beyond(op.output, self._replaceable[i]) for i, op in enumerate(self._layers)]
        return max([self._start.peak, *map(sum, zip(needs, outputs, self._scratch, strict=True))])

    def find_path(self, limit: int, budget: int) -> tuple[list[int] | None, bool, int]:
        """Search for an order whose peak is at most `limit`, depth first, visiting the least use of memory first.

        Returns:
            The order, or None; whether every set within the limit was visited, or the path found; the least peak
            beyond the limit that was met, 0 if none was.
        """
        came_from: dict[int, tuple[int, int]] = {}  # set -> set before, layer between
        stack = [(self._start, -1, -1)]
        beyond: list[int] = []
        self.looked_at = 0
        while stack and self.looked_at < budget:
            step, before, layer = stack.pop()
            if step.done in came_from:
                continue
            came_from[step.done] = before, layer
            self.looked_at += 1
            if step.done == self._all:
                return self._path(came_from), True, 0
            found = []
            for i, after in self._successors(step):
                if after.peak > limit:
                    beyond.append(after.peak)
                elif after.done not in came_from:
                    found.append((after, step.done, i))
            stack += sorted(found, key=lambda one: (-one[0].live, -one[2]))
        return None, not stack, min(beyond, default=0)

    def _path(self, came_from: dict[int, tuple[int, int]]) -> list[int]:
        order: list[int] = []
        done = self._all
        while done:
            done, layer = came_from[done]
            order.append(layer)
        return order[::-1]

    def _successors(self, step: _OrderStep) -> list[tuple[int, _OrderStep]]:
        """Every layer that can run next, and its result; only one where nothing can be lost by running it now.

        That is so if it raises neither the peak nor the memory in use: any layers that run before it instead would need
        at least as much memory without its output as with it.
        """
        found = []
        for i, needs in enumerate(self._needs):
            if step.done >> i & 1 or needs & ~step.done:
                continue
            after = self._run(step, i)
            if after.peak == step.peak and after.live <= step.live:
                return [(i, after)]
            found.append((i, after))
        return found

    def _beyond(self, output: str, replaced: Sequence[Sequence[str]]) -> int:
        """The fewest bytes that an output needs beside those of one of the inputs that it may replace."""
        most = max((sum(self._size[part] for part in parts) for parts in replaced), default=0)
        return max(0, self._size[output] - most)

    def _dying(self, i: int, done: int) -> set[str]:
        """Tensors that a layer reads and nothing afterwards."""
        return {name for name in self._reads[i] if name not in self._kept and not self._readers[name] & ~done}

    def _own(self, i: int, scratch: int, replaceable: Sequence[Sequence[str]], dying: set[str]) -> int:
        """Bytes that a layer needs beside the tensors that exist before it runs."""
        dead = [parts for parts in replaceable if set(parts) <= dying]
        return scratch + self._beyond(self._layers[i].output, dead)

    def _run(self, step: _OrderStep, i: int) -> _OrderStep:
        done = step.done | 1 << i
        output = self._layers[i].output
        dying = self._dying(i, done)
        during = step.live + self._own(i, self._scratch[i], self._replaceable[i], dying)
        freed = sum(self._size[name] for name in dying)
        if output not in self._kept and not self._readers[output]:
            freed += self._size[output]  # an unread output has to be written somewhere, and is dropped
        return _OrderStep(max(step.peak, during), step.live + self._size[output] - freed, done)
