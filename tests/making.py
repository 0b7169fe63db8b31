"""A maker of parts that loads no model: it writes one small file for each part, and fails where a test asks it to.

`plan.n` is the length of the data. A file `FAULT.PART.NUMBER` in the export's folder is a fault, met once by whoever comes
first: `kill`, `segv`, `raise`, `refuse`, `problem` or `wait` (until the file `go` is there).
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.export.engine import Engine, Outcome
from workbench.export.plan import Plan
from workbench.store import write_text_atomic

MAKER = "making:FakeMaker"
MORTAL_MAKER = "making:MortalMaker"
KILL = "kill"
"""A file in the export's folder: whoever makes the next part is killed when the part is written but not declared so."""


class FakeMaker:
    """Writes `part-00007.txt`; its content depends on nothing but the plan, the part and the number of threads."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        (plan.folder / f"loaded-{os.getpid()}").touch()

    def __call__(self, part: int) -> Outcome:
        with (self.plan.folder / "asked").open("a") as file:
            file.write(f"{part} {os.getpid()}\n")
        for fault in sorted(self.plan.folder.glob(f"*.{part}.*")):
            fault.unlink(missing_ok=True)
            if (outcome := self.meet(fault.name.split(".")[0], part)) is not None:
                return outcome
        left = (self.plan.n or 0) - part * self.plan.part_rows
        rows = max(0, min(left, self.plan.part_rows))
        if rows:
            threads = os.environ.get("OMP_NUM_THREADS")
            write_text_atomic(file_of(self.plan, part), f"part {part}, {rows} rows, threads {threads}\n")
        return Outcome(part=part, rows=rows, done=rows)

    def meet(self, fault: str, part: int) -> Outcome | None:
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "raise":
            raise ArithmeticError("a bug of ours")
        if fault == "refuse":
            raise BadInput("The checkpoint cannot be used.")
        if fault == "problem":
            return Outcome(part=part, rows=0, problem="The disk is full.")
        while fault == "wait" and not (self.plan.folder / "go").exists():
            time.sleep(0.02)
        return None


class MortalMaker:
    """The real maker of parts, in a process that is killed once where `KILL` says so."""

    def __init__(self, plan: Plan) -> None:
        from workbench.export.part import PartMaker

        self.plan = plan
        self.make = PartMaker(plan)

    def __call__(self, part: int) -> Outcome:
        from workbench.export import part as room

        with suppress(FileNotFoundError):
            (self.plan.folder / KILL).unlink()
            room.write_note = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
        return self.make(part)


def plan_of(folder: Path, *, n: int | None = 18, part_rows: int = 4, **more: Any) -> Plan:
    folder.mkdir(parents=True, exist_ok=True)
    return Plan(
        data="none",
        checkpoint=folder,
        checkpoint_sha256="0",
        folder=folder,
        n=n,
        part_rows=part_rows,
        device="cpu",
        **more,
    )


def file_of(plan: Plan, part: int) -> Path:
    return plan.folder / f"part-{part:05}.txt"


def plant(plan: Plan, fault: str, part: int, times: int = 1) -> None:
    for number in range(times):
        (plan.folder / f"{fault}.{part}.{number}").touch()


def files(plan: Plan) -> dict[str, bytes]:
    """Names and contents of the parts that are there."""
    return {path.name: path.read_bytes() for path in plan.folder.glob("part-*")}


def asked(plan: Plan) -> list[tuple[int, int]]:
    """(part, process) of every attempt, in order."""
    lines = (plan.folder / "asked").read_text().splitlines() if (plan.folder / "asked").exists() else []
    return [(int(part), int(process)) for part, process in (line.split() for line in lines)]


def processes(plan: Plan) -> list[int]:
    """Processes that have loaded the maker."""
    return [int(path.name.removeprefix("loaded-")) for path in plan.folder.glob("loaded-*")]


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and whose parent has not asked for its end does not."""
    state = Path(f"/proc/{process}/stat")
    try:
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def made(engine: Engine, plan: Plan, parts: Any) -> dict[int, Outcome]:
    """Outcomes by part; a part that comes twice fails the test."""
    found: dict[int, Outcome] = {}
    for outcome in engine.run(plan, parts, stopped=lambda: False):
        assert outcome.part not in found
        found[outcome.part] = outcome
    return found
