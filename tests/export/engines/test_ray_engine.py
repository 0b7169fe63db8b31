"""Ray's engine against a Ray that is told what to do; tests/contract/test_engines.py has the real one."""

import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from making import MAKER, plan_of
from ray import exceptions
from ray.core.generated.common_pb2 import ActorDiedErrorContext

from workbench.errors import BadInput, MissingExtra
from workbench.export import actors
from workbench.export.actors import Actors, Hand
from workbench.export.crew import make_parts
from workbench.export.engine import Outcome
from workbench.export.engines import ray as module
from workbench.export.engines.ray import RayEngine
from workbench.export.plan import Plan
from workbench.store import dumps

NODE_DIED = exceptions.ActorDiedError(
    ActorDiedErrorContext(actor_id=bytes(16), error_message="The actor died because its node has died. Node Id: 7")
)
WORKER_DIED = exceptions.ActorDiedError(
    ActorDiedErrorContext(
        actor_id=bytes(16),
        error_message="The actor is dead because its worker process has died. Some common causes include: many",
    )
)


@dataclass(eq=False)
class Ref:
    actor: int
    call: str
    given: tuple[Any, ...]


@dataclass
class FakeRay:
    """Actors numbered by birth. `fates[part]` are errors that making it meets, one after the other; `lost` never start."""

    fates: dict[int, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    lost: set[int] = field(default_factory=set)
    failing: set[int] = field(default_factory=set)
    blind: set[int] = field(default_factory=set)
    resources: dict[str, float] = field(default_factory=dict)
    born: int = 0
    killed: list[int] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] | None = None
    seen: dict[str, str | None] = field(default_factory=dict)
    unreachable: Exception | None = None
    exceptions: Any = exceptions

    def __post_init__(self) -> None:
        self.is_initialized = lambda: self.started is not None

    def init(self, **settings: Any) -> None:
        self.seen = {name: os.environ.get(name) for name in module.SETTINGS}
        if self.unreachable is not None:
            raise self.unreachable
        self.started = settings

    def shutdown(self) -> None:
        self.started = None

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, kind: type) -> Any:
        assert kind is Hand
        return self

    def kind(self) -> Any:
        def begin(*job: str) -> Any:
            number, self.born = self.born, self.born + 1
            call = lambda name: SimpleNamespace(remote=lambda *given: Ref(number, name, given))  # noqa: E731
            return SimpleNamespace(number=number, look=call("look"), make=call("make"))

        return SimpleNamespace(remote=begin)

    def wait(self, refs: list[Ref], *, num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        assert refs
        assert all(ref.actor not in self.killed for ref in refs)
        ready = [ref for ref in refs if ref.actor not in self.lost][:num_returns]
        return ready, [ref for ref in refs if ref not in ready]

    def get(self, ref: Ref) -> Any:
        if ref.call == "look":
            if ref.actor in self.failing:
                raise exceptions.ActorDiedError(
                    ActorDiedErrorContext(actor_id=bytes(16), error_message="No module named 'workbench'")
                )
            return f"machine-{ref.actor}", ref.actor not in self.blind
        [part] = ref.given
        if self.fates[part]:
            raise self.fates[part].pop(0)
        return {"part": part, "rows": 4 if part < 6 else 0}

    def kill(self, handle: Any) -> None:
        self.killed.append(handle.number)


def crew(ray: FakeRay, plan: Plan, size: int = 2) -> Actors:
    fake: Any = ray
    fake.options = lambda **options: ray.kind()
    return Actors(fake, MAKER, plan, size=size, mark="mark", options={})


def run(ray: FakeRay, plan: Plan, size: int = 2) -> dict[int, Outcome]:
    found = list(make_parts(crew(ray, plan, size), plan, count(), stopped=lambda: False))
    assert len({outcome.part for outcome in found}) == len(found)
    return {outcome.part: outcome for outcome in found}


def test_workers_that_find_no_place_hold_up_no_part(tmp_path: Path) -> None:
    ray = FakeRay(lost={1, 2})
    outcomes = run(ray, plan_of(tmp_path), size=3)
    assert [part for part, outcome in outcomes.items() if outcome.rows] == list(range(6))
    assert ray.born == 3
    assert sorted(ray.killed) == [0, 1, 2]


def test_a_cluster_without_room_can_be_left(tmp_path: Path) -> None:
    ray, plan = FakeRay(lost={0, 1}), plan_of(tmp_path)
    asked = count()
    assert list(make_parts(crew(ray, plan), plan, count(), stopped=lambda: next(asked) > 3)) == []
    assert sorted(ray.killed) == [0, 1]


@pytest.mark.parametrize("loss", [NODE_DIED, exceptions.ActorUnavailableError("the network is down", None)])
def test_a_machine_that_is_lost_is_no_fault_of_the_part(tmp_path: Path, loss: Exception) -> None:
    ray = FakeRay()
    ray.fates[2] = [loss] * 5
    outcomes = run(ray, plan_of(tmp_path))
    assert outcomes[2] == Outcome(part=2, rows=4)


def test_a_worker_that_dies_twice_at_a_part_is(tmp_path: Path) -> None:
    ray = FakeRay()
    ray.fates[2] = [WORKER_DIED, NODE_DIED, WORKER_DIED]
    outcomes = run(ray, plan_of(tmp_path))
    assert "the last on the machine 'machine-" in outcomes[2].problem
    assert "ended with: The actor is dead because its worker process has died;" in outcomes[2].problem
    assert "causes" not in outcomes[2].problem


def test_a_folder_that_a_machine_does_not_see_is_told(tmp_path: Path) -> None:
    ray = FakeRay(blind={1})
    with pytest.raises(BadInput, match=f"'machine-1' does not see the folder '{tmp_path}'"):
        run(ray, plan_of(tmp_path))
    assert sorted(ray.killed) == [0, 1]
    hand = Hand(MAKER, dumps(plan_of(tmp_path)))
    assert hand.look(str(tmp_path), 0.0)[1]
    assert not hand.look(str(tmp_path / "elsewhere"), 0.0)[1]


def test_workers_that_never_start_end_it(tmp_path: Path) -> None:
    ray = FakeRay(failing=set(range(100)))
    with pytest.raises(BadInput, match=r"No module named 'workbench'.* same Python packages"):
        run(ray, plan_of(tmp_path))
    assert ray.born <= actors.STARTS + 2


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """What `import ray` gives the engine."""
    ray = FakeRay(resources={"CPU": 8.0})

    def options(**given: Any) -> Any:
        ray.seen_options = given  # pyright: ignore[reportAttributeAccessIssue]
        return ray.kind()

    ray.options = options  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "ray", ray)
    for name in ("RAY_ADDRESS", "THINKSCOPE_DEVICE", *module.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    return ray


def test_its_own_ray_is_small_quiet_and_gone_afterwards(fake: FakeRay, tmp_path: Path) -> None:
    run = RayEngine(workers=3, maker=MAKER).run(plan_of(tmp_path, threads=2), count(), stopped=lambda: False)
    assert next(run).rows == 4
    assert fake.started is not None
    settings = fake.started
    assert (settings["address"], settings["include_dashboard"], settings["log_to_driver"]) == ("local", False, False)
    assert settings["object_store_memory"] <= 2**27
    assert settings["num_cpus"] >= 6
    assert settings["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "2"
    assert fake.seen["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len(list(run)) >= 6
    assert fake.started is None
    assert not set(module.SETTINGS) & set(os.environ)
    assert list(tmp_path.iterdir()) == [], "the mark by which workers know the folder is gone"


def test_a_cluster_is_joined_where_it_is_named(fake: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    fake.resources = {"CPU": 64.0, "GPU": 3.0}
    seen: list[tuple[int, dict[str, Any]]] = []

    def crew(ray: Any, maker: str, plan: Plan, *, size: int, mark: str, options: dict[str, Any]) -> Any:
        seen.append((size, options))
        return Actors(ray, maker, plan, size=size, mark=mark, options=options)

    monkeypatch.setattr(module, "Actors", crew)
    gpu = Plan(data="", checkpoint=tmp_path, checkpoint_sha256="", folder=tmp_path, threads=4)
    run = RayEngine().run(gpu, count(), stopped=lambda: False)
    next(run)
    assert fake.started == {"address": "10.0.0.1:6379", "log_to_driver": False, "logging_level": "error"}
    list(run)
    list(RayEngine().run(plan_of(tmp_path, threads=4), count(), stopped=lambda: False))
    assert [(size, options["num_gpus"], options["num_cpus"]) for size, options in seen] == [(3, 1, 4), (16, 0, 4)]


def test_a_ray_that_runs_already_is_left_running(fake: FakeRay, tmp_path: Path) -> None:
    fake.started = {}
    assert list(RayEngine(workers=1).run(plan_of(tmp_path), count(), stopped=lambda: False))
    assert fake.started == {}


def test_a_cluster_that_does_not_answer_is_told(fake: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere:1")
    fake.unreachable = ConnectionError("Failed to connect.\nmore")
    with pytest.raises(BadInput, match="could not be joined at RAY_ADDRESS 'nowhere:1': Failed to connect"):
        next(RayEngine().run(plan_of(tmp_path), count(), stopped=lambda: False))
    assert not set(module.SETTINGS) & set(os.environ)


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thinkscope\[ray\]'"):
        RayEngine().run(plan_of(tmp_path), [0], stopped=lambda: False)


def test_no_workers_make_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--workers 1"):
        RayEngine(workers=0).run(plan_of(tmp_path), [0], stopped=lambda: False)
