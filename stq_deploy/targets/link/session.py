"""A conversation with one board: opened, kept alive through damage and resets, and used for requests."""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link import messages, problems
from stq_deploy.targets.link.delivery import Delivery, Request
from stq_deploy.targets.link.faults import BoardFault, FaultRecord, Locate, describe_layer, parse_fault
from stq_deploy.targets.link.framing import Damaged, Frame, FrameDecoder, encode_frame
from stq_deploy.targets.link.identity import ExpectedBoard, NetworkFacts, check_identity, contradiction
from stq_deploy.targets.link.messages import BoardCounters, BoardFacts, Inference, LayerInfo
from stq_deploy.targets.link.protocol import ANSWER, VERSION, FrameType, InferFlags, ResetCause
from stq_deploy.targets.link.retransmission_timer import RetransmissionTimer
from stq_deploy.targets.link.statistics import LinkStatistics
from stq_deploy.targets.link.timeouts import TIMEOUTS, Timeouts
from stq_deploy.targets.link.transport import Transport

Levels = bytes | npt.NDArray[np.int8] | npt.NDArray[np.int16]
_LARGEST_LEVEL = 2
"""Bytes."""


@dataclass(frozen=True)
class _RequestGroup:
    """Requests that belong together; the answer to the last is the result. A reset restarts it."""

    requests: tuple[Request, ...]


class Session:
    """The host's end of the link.

    Requests are sent ahead, as many as the board's window allows, so that the wire is busy while the core computes.
    Whatever the line loses, doubles or damages, every result is the board's answer to exactly that request. The board
    runs each sample once, and again only after it was itself reset.

    Args:
        transport: carries the bytes; `close` closes it.
        expected: the board, model and build that it must be.
        timeouts: see `Timeouts`.
        locate: code address -> function name, for a crash's message.
        layer_names: for a crash's message.
        nonces: gives a new 32-bit number for every session.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        expected: ExpectedBoard | None = None,
        timeouts: Timeouts = TIMEOUTS,
        locate: Locate | None = None,
        layer_names: Sequence[str] = (),
        nonces: Callable[[], int] = lambda: secrets.randbits(32),
    ) -> None:
        self.statistics = LinkStatistics()
        self._transport = transport
        self._expected = expected or ExpectedBoard()
        self._timeouts = timeouts
        self._locate = locate
        self._layer_names = layer_names
        self._nonces = nonces
        self._decoder = FrameDecoder()
        self._damage_before = False
        self._facts: BoardFacts | None = None
        self._delivery: Delivery | None = None
        self._timer = RetransmissionTimer(timeouts)
        self._asks_where = False
        self._before_answer = LinkStatistics()  # as they were when the wait for the next answer began

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(self) -> BoardFacts:
        """Open the session by HELLO, and check that it is the right board.

        Raises:
            SilentBoardError: no answer, or no meaningful one.
            WrongBoardError: it is not the expected board.
            BoardFault: the firmware crashed meanwhile.
        """
        self._delivery, facts = self._hello()
        check_identity(facts, self._expected, where=self._transport.name)
        self._facts = facts
        return facts

    def close(self) -> None:
        """Close the transport. A second call does nothing."""
        self._transport.close()

    @property
    def facts(self) -> BoardFacts:
        """The board's facts when the session was last opened."""
        if self._facts is None:
            raise RuntimeError("the session is not open")
        return self._facts

    # The host's requests. All may raise StqError as `open` does, and RefusedError.

    def infer(
        self,
        samples: Iterable[Levels],
        *,
        crcs: bool = False,
        layer_cycles: bool = False,
        others: Sequence[int] = (),
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        """Run samples, in order; yields each result as soon as it and all before it have arrived.

        Samples are drawn from the iterable as the window allows, a few ahead of the results.

        Args:
            samples: each `facts.input_bytes` of int8 or int16 levels.
            crcs: ask for the CRC-32 of every layer's output.
            layer_cycles: ask for the cycles of every layer.
            others: bytes of each output after the first, to read them from the same inference.
            counters: of a network with fresh noise, one for each sample, drawn after it; None for other networks.

        Raises:
            ValueError: a sample of another size or type.
        """
        flags = (InferFlags.CRCS if crcs else InferFlags.NONE) | (
            InferFlags.CYCLES if layer_cycles else InferFlags.NONE
        )
        reads = [self._reads(output, size) for output, size in enumerate(others, start=1)]
        # One operation a sample: the next sample's input ends the reading, and a reset forgets what was run.
        following = tuple(itertools.chain.from_iterable(reads))

        def operation(levels: Levels, counter: int | None) -> _RequestGroup:
            run = self._with_input(FrameType.INFER, lambda data: messages.infer_payload(flags, data, counter), levels)
            return _RequestGroup((*run.requests, *following))

        numbered = zip(samples, itertools.repeat(None) if counters is None else counters)  # noqa: B905 - one is endless
        for answers in self._perform_all(operation(levels, counter) for levels, counter in numbered):
            inferred = len(answers) - len(following)
            pieces = iter(answers[inferred:])
            outputs = [b"".join(itertools.islice(pieces, len(one))) for one in reads]
            _check_sizes(outputs, others)
            inference = messages.parse_inference(answers[inferred - 1], flags, self.facts)
            yield replace(inference, others=tuple(outputs))

    def layer_output(
        self, levels: Levels, layer: int, *, output_bytes: int | None = None, counter: int | None = None
    ) -> bytes:
        """Run one sample up to `layer`; the bytes of that layer's output as in the board's memory.

        Args:
            output_bytes: their number, if the caller knows the network.
            counter: the sample's, for a network with fresh noise.

        Raises:
            WrongBoardError: the board states another number of bytes.
            AnswerError: their CRC-32 differs from the board's.
            ValueError: no such layer.
        """
        if not 0 <= layer < self.facts.layer_count:
            raise ValueError(f"the network has {self.facts.layer_count} layers, no layer {layer}")
        run = self._with_input(
            FrameType.RUN_TO_LAYER, lambda data: messages.run_to_layer_payload(layer, data, counter), levels
        )
        size = self.layer(layer).output_bytes
        if output_bytes is not None and size != output_bytes:
            raise contradiction(f"bytes of output of layer {layer}", size, output_bytes, where=self._transport.name)
        reads = self._reads(0, size)
        # One operation: a reset in between would have forgotten what was run.
        (answers,) = self._perform_all([_RequestGroup((*run.requests, *reads))])
        announced, crc = messages.parse_run_to_layer(answers[len(run.requests) - 1])
        output = b"".join(answers[len(run.requests) :])
        messages.check_output(output, announced, crc)
        return output

    def layer(self, index: int) -> LayerInfo:
        """The firmware's description of one of its layers."""
        return messages.parse_layer_info(self._ask(Request(FrameType.LAYER_INFO, messages.layer_info_payload(index))))

    def layers(self) -> list[LayerInfo]:
        """The firmware's description of all its layers."""
        requests = (
            _RequestGroup((Request(FrameType.LAYER_INFO, messages.layer_info_payload(index)),))
            for index in range(self.facts.layer_count)
        )
        return [messages.parse_layer_info(payload) for payload in self._perform(requests)]

    def counters(self) -> BoardCounters:
        """The board's own counts since its reset."""
        return messages.parse_counters(self._ask(Request(FrameType.COUNTERS)))

    def last_fault(self) -> FaultRecord | None:
        """The record of the crash that caused the board's last reset, if one did."""
        payload = self._ask(Request(FrameType.LAST_FAULT))
        return parse_fault(payload) if payload else None

    def reset_board(self) -> BoardFacts:
        """Reset the board, and open the session again."""
        self._ask(Request(FrameType.RESET))
        return self.open()

    # Implementation.

    def _ask(self, request: Request) -> bytes:
        (payload,) = self._perform([_RequestGroup((request,))])
        return payload

    def _reads(self, output: int, size: int) -> tuple[Request, ...]:
        """Requests that together read one output of so many bytes."""
        chunk = self.facts.max_answer
        return tuple(
            Request(FrameType.READ_OUTPUT, messages.read_output_payload(output, at, min(chunk, size - at)))
            for at in range(0, size, chunk)
        )

    def _with_input(self, type_: FrameType, payload: Callable[[bytes], bytes], levels: Levels) -> _RequestGroup:
        """A request that needs a sample: inline if it fits, else after the sample's chunks."""
        data = _as_bytes(levels, self.facts.input_bytes)
        inline = payload(data)
        if len(inline) <= self.facts.max_request:
            return _RequestGroup((Request(type_, inline),))
        chunk = self.facts.max_request - len(messages.input_payload(0, b""))
        chunk -= chunk % _LARGEST_LEVEL  # a chunk holds whole levels
        chunks = (
            Request(FrameType.INPUT, messages.input_payload(at, data[at : at + chunk]))
            for at in range(0, len(data), chunk)
        )
        return _RequestGroup((*chunks, Request(type_, payload(b""))))

    def _perform(self, operations: Iterable[_RequestGroup]) -> Iterator[bytes]:
        """The result of each operation, in order."""
        return (answers[-1] for answers in self._perform_all(operations))

    def _perform_all(self, operations: Iterable[_RequestGroup]) -> Iterator[list[bytes]]:
        """The answers of each operation, in order; operations are drawn as the window allows."""
        source = iter(operations)
        unfinished: deque[_RequestGroup] = deque()  # drawn, oldest first
        queue: deque[Request] = deque()  # their requests that are not yet submitted
        answers: list[bytes] = []  # to requests of the oldest
        resets = 0
        delivery = self._usable_delivery()
        self._expect_answer()
        # Until this ends without an error, answers may arrive that nothing waits for.
        self._delivery = None
        while True:
            if delivery.lost:
                resets += 1
                if resets > self._timeouts.resets:
                    raise problems.keeps_resetting(
                        self._transport.name, resets, self.facts.reset_cause, self._where_it_hung()
                    )
                delivery = self._reopen()
                answers = []
                queue = deque(itertools.chain.from_iterable(operation.requests for operation in unfinished))
                self._expect_answer()
            to_send = []
            while not delivery.full:
                if not queue:
                    following = next(source, None)
                    if following is None:
                        break
                    unfinished.append(following)
                    queue.extend(following.requests)
                to_send.append(delivery.submit(queue.popleft()))
            if delivery.idle:
                break
            self._write(b"".join(to_send))
            finished = []
            for request, frame in self._exchange(delivery):
                answers.append(self._payload_of(request, frame))
                if len(answers) == len(unfinished[0].requests):
                    # Not at every answer: a board that hangs in one operation accepts its chunks again after each
                    # reset.
                    resets = 0
                    unfinished.popleft()
                    finished.append(answers)
                    answers = []
            if finished:
                yield from finished
                self._expect_answer()  # the caller's time does not count as the board's
        self._delivery = delivery

    def _exchange(self, delivery: Delivery) -> list[tuple[Request, Frame]]:
        """Wait for answers; at a time-out, probe. Returns answers in order, possibly none."""
        data = self._read(max(0.0, self._timer.deadline - self._transport.now()))
        now = self._transport.now()
        late = now >= self._timer.deadline
        frames = self._frames(data)
        if any(delivery.concerns(frame) for frame in frames):
            self._timer.heard(now)
        self._write(b"".join(delivery.receive(frame) for frame in frames))
        if delivery.most_transmissions > self._timeouts.transmissions:
            raise problems.too_noisy(self._transport.name, self._timeouts)
        taken = delivery.take_answers()
        if taken:
            self._timer.answered(now, sent_once=taken[0][2])
            self._before_answer = replace(self.statistics)
        elif late and not delivery.lost:
            self._ask_again(delivery, now)
        return [(request, frame) for request, frame, _ in taken]

    def _ask_again(self, delivery: Delivery, now: float) -> None:
        """At a time-out, send the oldest request again.

        Raises:
            SilentBoardError: it was sent often enough without an answer.
        """
        if not self._timer.timed_out(now):
            before, after = self._before_answer, self.statistics
            if after.bytes_received > before.bytes_received:
                raise problems.drowned(self._transport.name, before, after)
            raise problems.stopped(self._transport.name, self._timeouts)
        self.statistics.timeouts += 1
        self._write(delivery.probe())

    def _expect_answer(self) -> None:
        """Start the wait for the next answer now."""
        self._timer.restart(self._transport.now())
        self._before_answer = replace(self.statistics)

    def _usable_delivery(self) -> Delivery:
        """The session's delivery, or a new session's if an earlier question was abandoned."""
        if self._facts is None:
            raise RuntimeError("the session is not open")
        return self._delivery if self._delivery is not None else self._reopen()

    def _reopen(self) -> Delivery:
        """A new session with the same board.

        Raises:
            WrongBoardError: another model or build answers now, or the same one states other facts.
        """
        before = self.facts
        delivery, facts = self._hello()
        same = ExpectedBoard(
            before.board, before.model_hash, before.build_id, self._expected.model_name, NetworkFacts.stated(before)
        )
        check_identity(facts, same, where=self._transport.name)
        if facts.sessions == 1:
            self.statistics.resets += 1
            self.statistics.watchdog_resets += facts.reset_cause == ResetCause.WATCHDOG
        self._facts = facts
        return delivery

    def _where_it_hung(self) -> str:
        """The layer that the watchdog interrupted, in words; empty if the board does not know it."""
        facts = self.facts
        if facts.reset_cause != ResetCause.WATCHDOG or not facts.has_fault or self._asks_where:
            return ""
        self._asks_where = True  # otherwise a board that also loses this question would be asked forever
        try:
            record = self.last_fault()
        except StqError:
            return ""
        finally:
            self._asks_where = False
        return "" if record is None else describe_layer(record.layer, self._layer_names)

    def _hello(self) -> tuple[Delivery, BoardFacts]:
        """Open a new session, whatever state the board and the line are in."""
        nonce = self._nonces()
        hello = Frame(
            FrameType.HELLO,
            session=nonce & 0xFFFF,
            sequence=nonce >> 16,
            payload=messages.hello_payload(nonce),
        )
        # The first 0x00 ends a frame that an interrupted program may have left unfinished in the board's buffer.
        wire = b"\0" + encode_frame(hello)
        before = replace(self.statistics)
        for _ in range(self._timeouts.hello_attempts):
            self.statistics.frames_sent += 1
            self._write(wire)
            deadline = self._transport.now() + self._timeouts.hello
            while (left := deadline - self._transport.now()) > 0:
                for frame in self._frames(self._read(left)):
                    if frame.type != FrameType.HELLO | ANSWER or frame.session != hello.session:
                        continue  # left over from before
                    answered, facts = messages.parse_facts(frame.payload)
                    if answered == nonce:
                        after = ((hello.sequence + 1) & 0xFFFF, 1)
                        return Delivery(hello.session, facts.window, *after, self.statistics), facts
        if self.statistics.frames_received > before.frames_received:
            raise problems.foreign_frames(self._transport.name, before, self.statistics)
        if self.statistics.bytes_received > before.bytes_received:
            raise problems.gibberish(self._transport.name, self.statistics.bytes_received - before.bytes_received)
        raise problems.silent(self._transport.name, self._timeouts)

    def _frames(self, data: bytes) -> list[Frame]:
        """The undamaged frames in `data`, after handling those that matter in every state of the session."""
        frames = []
        for found in self._decoder.feed(data):
            if isinstance(found, Damaged):
                self.statistics.damaged_received += 1
                self._damage_before = True
                continue
            self.statistics.frames_received += 1
            self.statistics.resyncs += self._damage_before
            self._damage_before = False
            if found.version != VERSION:
                raise problems.other_version(self._transport.name, found.version)
            if found.type == FrameType.FAULT:
                raise BoardFault(
                    parse_fault(found.payload),
                    where=self._transport.name,
                    locate=self._locate,
                    layer_names=self._layer_names,
                )
            frames.append(found)
        return frames

    def _payload_of(self, request: Request, frame: Frame) -> bytes:
        if frame.type == request.type | ANSWER:
            return frame.payload
        if frame.type == FrameType.ERROR:
            raise problems.RefusedError(messages.parse_refusal(frame.payload), where=self._transport.name)
        raise messages.AnswerError(problems.wrong_answer(frame.type, request.type))

    def _read(self, timeout: float) -> bytes:
        data = self._transport.read(timeout)
        self.statistics.bytes_received += len(data)
        return data

    def _write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)
            self.statistics.bytes_sent += len(data)


def _check_sizes(outputs: Sequence[bytes], sizes: Sequence[int]) -> None:
    """Raises AnswerError unless each output has the bytes that were asked for."""
    for output, size in zip(outputs, sizes, strict=True):
        if len(output) != size:
            raise messages.AnswerError(f"an output has {len(output)} bytes, {size} were asked for")


def _as_bytes(levels: Levels, expected: int) -> bytes:
    if not isinstance(levels, bytes):
        if levels.dtype not in (np.int8, np.int16):
            raise ValueError(f"levels are int8 or int16, not {levels.dtype}")
        levels = levels.astype(levels.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(levels) != expected:
        raise ValueError(f"a sample has {expected} bytes of levels, not {len(levels)}")
    return levels
