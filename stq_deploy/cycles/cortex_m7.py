"""The Cortex-M7's pipeline: in order, two instructions a cycle, by rules that others measured on silicon.

Sources, quoted in the tests:

- jnk0le, "pipeline cycle test", doc/cortex_m7.md (github.com/jnk0le/random), measured on an STM32H743 revision Y;
- quinapalus, "Cortex-M7 instruction cycle counts, timings, and dual-issue combinations", on an STM32H730;
- LLVM's ARMScheduleM7.td, for division alone.

A stage before the ALU computes addresses and shifts operands. So a value has two times: the ALU stage can read it at
`late`, and the stage before the ALU one cycle later, at `early`. Simple additions, moves and shifts may run in that
stage themselves. Their result is then ready one cycle sooner.

The model leaves out where code lies relative to fetch blocks, and conflicts of the store buffer with loads. It also
leaves out the half cycles that the first source calls "slippery". `branches.py` has the branch predictor, and
`memory.py` has the caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stq_deploy.cycles.operation import FLAGS, PROGRAM, CoreUnit, Early, Operation
from stq_deploy.cycles.store_buffer import StoreBuffer
from stq_deploy.cycles.timeline import Cause, CauseCycles, CoreTiming, ExecutedOperation, nothing_spent

NAME = "cortex-m7"
_WIDTH = 2
_DIVISION_CYCLES = 7
_FPU_LATENCY = 3
_UNALIGNED_LOAD_CYCLES = 3
_WRONG_JUMP, _WRONG_JUMP_OF_OLD_FLAGS, _OLD_FLAGS = 8, 6, 3

_ALONE = frozenset({CoreUnit.LOAD_MANY, CoreUnit.STORE_MANY, CoreUnit.DIVIDE, CoreUnit.OTHER})
"""Units whose instructions issue without a partner."""
_MEMORY = frozenset({CoreUnit.LOAD, CoreUnit.STORE, CoreUnit.LOAD_MANY, CoreUnit.STORE_MANY})
_SHIFTS_OF_OLDER = frozenset({CoreUnit.SHIFT})


@dataclass
class _ReadyTimes:
    """Cycles from which later instructions can read a register, by the stage that reads it.

    Attributes:
        made: cycle from which a store can read it; for most instructions, the cycle in which they issued.
        late: the ALU stage.
        early: the stage before the ALU.
        patient: multiplication, and the ALU stage of an instruction that also reads early.
        added: the accumulation after a multiplication.
        cause: cause to which a wait for the register is charged.
    """

    made: int
    late: int
    early: int
    patient: int
    added: int
    cause: Cause


_OLD = _ReadyTimes(-9, -9, -9, -9, -9, Cause.ALU)


class CortexM7:
    """See `CoreModel`."""

    name = NAME
    has_branch_predictor = True

    def time(self, parts: Sequence[Sequence[ExecutedOperation]]) -> CoreTiming:
        """See `CoreModel`."""
        state = _IssueState()
        marks, spent, wrong = [], [], []
        for part in parts:
            before = dict(state.spent)
            for step in part:
                state.issue(step)
            marks.append(state.reached)
            spent.append({cause: state.spent[cause] - before[cause] for cause in Cause})
            wrong.append(state.wrong_jump)
        return CoreTiming(tuple(marks), tuple(spent), tuple(wrong))


@dataclass
class _IssueState:
    """The state of the pipeline between two instructions.

    Attributes:
        cycle: cycle in which the latest instruction issued.
        pair: instructions that issued in that cycle, with their addresses, the older first.
        is_closed: whether nothing more may issue in that cycle.
        values: register -> when it can be read.
        stores: the store buffer.
        spent: cycles so far by cause.
        wrong_jump: cycles that a wrong prediction of the latest branch costs.
    """

    cycle: int = 0
    pair: list[ExecutedOperation] = field(default_factory=list)
    is_closed: bool = False
    values: dict[int, _ReadyTimes] = field(default_factory=dict)
    stores: StoreBuffer = field(default_factory=StoreBuffer)
    spent: CauseCycles = field(default_factory=nothing_spent)
    wrong_jump: int = _WRONG_JUMP

    @property
    def reached(self) -> float:
        """Cycles so far; an instruction that has no partner yet counts as half a cycle."""
        if not self.pair:
            return float(self.cycle)
        return self.cycle + (1.0 if self.is_closed or len(self.pair) == _WIDTH else 0.5)

    def issue(self, step: ExecutedOperation) -> None:
        """Issue an instruction as soon as possible."""
        before = self.reached
        at, cause = self._earliest(step)
        if at > self.cycle or not self.pair:
            self.pair, self.is_closed = [], False
        self.cycle = at
        self.pair.append(step)
        self._give(step)
        self._occupy(step)
        self.spent[cause] += self.reached - before

    def _earliest(self, step: ExecutedOperation) -> tuple[int, Cause]:
        """The first cycle in which the instruction can issue, and the cause that rules out an earlier one."""
        operation = step.operation
        at, cause = self.cycle, _own_cause(operation)
        if self.pair and (self.is_closed or len(self.pair) == _WIDTH or not may_pair(self.pair[-1], step)):
            at += 1
            if operation.unit in _MEMORY and any(one.operation.unit in _MEMORY for one in self.pair):
                cause = Cause.LOADS
        ready, why = self._ready(operation)
        if ready > at:
            at, cause = ready, why
        return at, cause

    def _ready(self, operation: Operation) -> tuple[int, Cause]:
        """The first cycle in which all operands are ready. A branch is predicted, so it waits for none."""
        if operation.unit is CoreUnit.BRANCH:
            return 0, Cause.BRANCHES
        ready, cause = 0, Cause.ALU
        patient = operation.unit is CoreUnit.MAC or bool(operation.early and operation.late)
        needs = [
            *((self._value(r), "patient" if patient else "late") for r in operation.late),
            *((self._value(r), "early") for r in operation.early),
            *((self._value(r), "added") for r in operation.added),
            *((self._value(r), "made") for r in operation.stored),
        ]
        for value, stage in needs:
            when: int = getattr(value, stage)
            if when > ready:
                ready, cause = when, value.cause
        return ready, cause

    def _value(self, register: int) -> _ReadyTimes:
        return self.values.get(register, _OLD)

    def _give(self, step: ExecutedOperation) -> None:
        """Record when later instructions can read the results."""
        operation, at = step.operation, self.cycle
        unit = operation.unit
        if unit is CoreUnit.BRANCH:
            flags = self._value(FLAGS)
            is_old = FLAGS in operation.late and at - flags.made >= _OLD_FLAGS
            self.wrong_jump = _WRONG_JUMP_OF_OLD_FLAGS if is_old else _WRONG_JUMP
        delay = 0
        if unit in (CoreUnit.LOAD, CoreUnit.LOAD_MANY) and _is_unaligned(step):
            delay = _UNALIGNED_LOAD_CYCLES
        for index, register in enumerate(operation.results):
            if register == FLAGS:
                self.values[register] = _ReadyTimes(at, at + 1, at + 2, at + 1, at + 1, Cause.ALU)
            else:
                self.values[register] = self._result(operation, at + delay, index)
        if operation.base >= 0:  # the address unit made it
            self.values[operation.base] = _ReadyTimes(at, at, at + 1, at, at, Cause.ALU)

    def _result(self, operation: Operation, at: int, index: int) -> _ReadyTimes:
        unit = operation.unit
        if unit is CoreUnit.LOAD and operation.access == 4:
            return _ReadyTimes(at, at + 1, at + 2, at + 2, at, Cause.LOADS)
        if unit is CoreUnit.LOAD:
            return _ReadyTimes(at, at + 2, at + 3, at + 2, at + 1, Cause.LOADS)
        if unit is CoreUnit.LOAD_MANY:
            when = at + index // _WIDTH
            return _ReadyTimes(when, when + 1, when + 2, when + 2, when, Cause.LOADS)
        if unit is CoreUnit.MAC:
            return _ReadyTimes(at, at + 2, at + 3, at + 2, at + 1, Cause.ALU)
        if unit is CoreUnit.DIVIDE:
            end = at + _DIVISION_CYCLES
            return _ReadyTimes(end - 1, end, end + 1, end, end - 1, Cause.ALU)
        if unit is CoreUnit.FPU:
            end = at + _FPU_LATENCY
            return _ReadyTimes(end - 1, end, end + 1, end, end, Cause.ALU)
        if operation.takes_early is Early.ALWAYS:
            return _ReadyTimes(at, at, at + 2, at, at, Cause.ALU)
        if self._runs_early(operation, at):
            return _ReadyTimes(at, at, at + 1, at, at, Cause.ALU)
        return _ReadyTimes(at, at + 1, at + 2, at + 1, at, Cause.ALU)

    def _runs_early(self, operation: Operation, at: int) -> bool:
        """Whether the early ALU takes the instruction that issues now."""
        if operation.takes_early is Early.NEVER:
            return False
        if any(self._value(register).early > at for register in operation.late if register != FLAGS):
            return False
        older = self.pair[0].operation
        is_younger = len(self.pair) == _WIDTH
        if operation.takes_early is Early.OLDER:
            return not is_younger
        return not is_younger or not (older.is_shifted or older.is_bit_move)

    def _occupy(self, step: ExecutedOperation) -> None:
        """Add the cycles in which the instruction keeps later ones from issuing."""
        operation = step.operation
        unit = operation.unit
        extra = 0
        if unit in (CoreUnit.LOAD_MANY, CoreUnit.STORE_MANY):
            extra = max(-(-operation.words // _WIDTH), 1) - 1
            if unit is CoreUnit.STORE_MANY and step.addresses and operation.words % 2 == 0 and step.addresses[0] % 8:
                extra += 1
        elif unit is CoreUnit.DIVIDE:
            extra = _DIVISION_CYCLES - 1
        elif unit is CoreUnit.LOAD and _is_unaligned(step):
            extra = _UNALIGNED_LOAD_CYCLES
        if unit in (CoreUnit.STORE, CoreUnit.STORE_MANY):
            extra += self.stores.store(self.cycle, operation.access, operation.words, step.addresses)
        self.is_closed = self.is_closed or unit in _ALONE or extra > 0 or step.jumps
        self.cycle += extra


def _own_cause(operation: Operation) -> Cause:
    """The cause of an instruction's own cycle, where it waits for nothing."""
    if operation.unit in _MEMORY:
        return Cause.LOADS
    return Cause.BRANCHES if operation.unit in (CoreUnit.BRANCH, CoreUnit.IT) else Cause.ALU


def may_pair(older_step: ExecutedOperation, younger_step: ExecutedOperation) -> bool:
    """Whether the units allow two instructions in one cycle; operands are not checked."""
    older, younger = older_step.operation, younger_step.operation
    units = {older.unit, younger.unit}
    if units & _ALONE:
        return False
    if younger.unit is CoreUnit.DSP:  # only the older of a pair
        return False
    if older.unit is younger.unit and older.unit in (CoreUnit.MAC, CoreUnit.STORE, CoreUnit.BRANCH, CoreUnit.FPU):
        return False
    if CoreUnit.MAC in units and CoreUnit.STORE in units:
        return False
    if older.unit is younger.unit is CoreUnit.LOAD and _same_bank(older_step, younger_step):
        return False
    if not _shifters_fit(older, younger):
        return False
    both = set(older.results) & set(younger.results) - {FLAGS, PROGRAM}
    return not both or (older.name, younger.name) == ("movw", "movt")


def _shifters_fit(older: Operation, younger: Operation) -> bool:
    """Whether the shifter in front of the ALU serves both."""
    if older.is_shifted and (younger.is_shifted or younger.is_bit_move):
        return False
    return not (younger.is_shifted and (older.is_bit_move or older.unit in _SHIFTS_OF_OLDER))


def _same_bank(older: ExecutedOperation, younger: ExecutedOperation) -> bool:
    """Whether two loads need the same bank of the memory, the even or the odd words.

    Where the addresses are not known, equal base registers give the difference. Other loads of unknown addresses count
    as a conflict: the prediction is then too high.
    """
    if older.addresses and younger.addresses:
        return (older.addresses[0] ^ younger.addresses[0]) & 4 == 0
    first, second = older.operation, younger.operation
    if first.early != second.early or first.offset is None or second.offset is None:
        return True
    return (first.offset ^ second.offset) & 4 == 0


def _is_unaligned(step: ExecutedOperation) -> bool:
    size = step.operation.access
    return bool(size and step.addresses and step.addresses[0] % size)
