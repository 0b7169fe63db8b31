"""Worker processes on this machine, by pipes: each is one `workbench/export/worker.py`."""

import json
import os
import selectors
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import final

from workbench import store
from workbench.export.crew import Crew, Settled
from workbench.export.engine import Outcome
from workbench.export.plan import Plan
from workbench.export.surroundings import import_path, worker_settings

MOMENT = 0.2
"""Seconds after which waiting for answers looks up."""
FAREWELL = 5.0
"""Seconds that a worker whose input has closed is given to end by itself."""


@dataclass(slots=True, kw_only=True, eq=False)
class Process:
    """One worker process and what it is at."""

    run: subprocess.Popen[bytes]
    seat: int
    part: int | None = None
    heard: bytearray = field(default_factory=bytearray)
    """What has come of a line that is not complete."""
    last_words: str = ""


@final
class Pool(Crew):
    """Worker processes, at most `size`; the one on seat i has the environment `seats[i % len(seats)]`."""

    def __init__(self, maker: str, plan: Plan, *, size: int, seats: list[dict[str, str]]) -> None:
        self.size = size
        self._job = json.dumps({"maker": maker, "plan": store.dumps(plan)})
        self._environment = {**os.environ, **worker_settings(plan), "PYTHONPATH": import_path()}
        self._seats = seats or [{}]
        self._processes: list[Process] = []

    def begin(self, part: int) -> None:
        for process in [process for process in self._processes if process.part is None]:
            if process.run.poll() is not None:
                self._bury(process)
        process = next((process for process in self._processes if process.part is None), None) or self._start()
        process.part = part
        _tell(process, str(part))

    def settle(self) -> list[Settled]:
        with selectors.DefaultSelector() as waiting:
            busy = [process for process in self._processes if process.part is not None]
            for process in busy:
                waiting.register(_output(process), selectors.EVENT_READ, process)
            ready = [key.data for key, _ in waiting.select(MOMENT)]
        # A worker's own children may hold its output open after its death, so the end of output is not the only sign.
        ready += [process for process in busy if process not in ready and process.run.poll() is not None]
        return [settled for process in ready if (settled := self._hear(process)) is not None]

    def dismiss(self) -> None:
        for process in self._processes:
            _close(process)
        for process in self._processes:
            try:
                process.run.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                process.run.kill()
                process.run.wait()
        self._processes.clear()

    def _start(self) -> Process:
        taken = {process.seat for process in self._processes}
        seat = next(index for index in range(self.size) if index not in taken)
        run = subprocess.Popen(
            # -P: the folder that the command was given in is no place to import from.
            [sys.executable, "-P", "-m", "workbench.export.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**self._environment, **self._seats[seat % len(self._seats)]},
            # Ctrl-C is for the parent, which lets begun parts be finished or ends the workers.
            process_group=0,
        )
        process = Process(run=run, seat=seat)
        os.set_blocking(_output(process), False)
        self._processes.append(process)
        _tell(process, self._job)
        return process

    def _hear(self, process: Process) -> Settled | None:
        """Read what a worker has written: an outcome, its last words, a piece of a line, or its end."""
        assert process.part is not None
        part = process.part
        ended = process.run.poll() is not None
        while True:
            try:
                piece = os.read(_output(process), 1 << 16)
            except BlockingIOError:
                break
            if not piece:
                ended = True
                break
            process.heard += piece
        while b"\n" in process.heard:
            line, _, rest = process.heard.partition(b"\n")
            process.heard = rest
            answer = json.loads(line)
            if "outcome" in answer:
                process.part = None
                return Settled(part=part, outcome=Outcome(**answer["outcome"]))
            process.last_words = answer["raised"]
        return Settled(part=part, death=self._bury(process)) if ended else None

    def _bury(self, process: Process) -> str:
        """Remove a worker that has ended or is about to, and say how it ended."""
        self._processes.remove(process)
        _close(process)
        try:
            code = process.run.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            process.run.kill()
            code = process.run.wait()
        return _manner(code, process.last_words)


def _output(process: Process) -> int:
    assert process.run.stdout is not None
    return process.run.stdout.fileno()


def _tell(process: Process, line: str) -> None:
    assert process.run.stdin is not None
    try:
        process.run.stdin.write(line.encode() + b"\n")
        process.run.stdin.flush()
    except BrokenPipeError:
        # It has died; its output says so when the part is waited for.
        pass


def _close(process: Process) -> None:
    for pipe in (process.run.stdin, process.run.stdout):
        if pipe is not None:
            # What a dead worker was still to be told is lost on nobody.
            with suppress(BrokenPipeError):
                pipe.close()


def _manner(code: int, last_words: str) -> str:
    """How a process ended, to follow "the worker"."""
    if last_words:
        return f"failed with {last_words!r}"
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (", as happens when memory runs out" if name == "SIGKILL" else "")
