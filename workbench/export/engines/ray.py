"""Ray: workers on the machines of a cluster, or on this one where no cluster is named."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from workbench.errors import BadInput, MissingExtra
from workbench.export.actors import Actors
from workbench.export.crew import make_parts
from workbench.export.durable import making_folder
from workbench.export.engine import ENGINES, Engine, Outcome
from workbench.export.plan import Plan
from workbench.export.surroundings import cores, gpus, import_path, wants_any_gpu, worker_settings

OBJECT_STORE = 100 << 20
"""Bytes of shared memory for Ray's store. Only part numbers and outcomes pass through it; Ray takes no less than 75 MiB."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's own next default; without it, it warns that it will be
}


@ENGINES.register("ray")
@final
@dataclass(frozen=True, kw_only=True)
class RayEngine(Engine):
    """Actors of Ray, one model each; joins the cluster that RAY_ADDRESS names, else starts Ray on this machine.

    On a cluster every machine has Thinkscope installed and sees the data, the checkpoint and the export's folder under the
    same paths; a worker that does not see the folder ends the export with that sentence. Only Ray's core is used, without
    its dashboard, whose interface lets anybody who reaches it run anything.
    """

    name = "ray"
    about = (
        "Workers on a Ray cluster (RAY_ADDRESS), or on this machine; takes back the parts of machines that are lost."
    )

    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtra("The engine 'ray' needs Ray; install it: pip install 'thinkscope[ray]'") from error
        if self.workers is not None and self.workers < 1:
            raise BadInput(f"{self.workers} workers make no parts; give --workers 1 or more.")
        return self._make(ray, plan, parts, stopped)

    def _make(self, ray: Any, plan: Plan, parts: Iterable[int], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        with cluster(ray, plan, self.workers), making_folder(plan.folder) as mark:
            held = ray.cluster_resources()
            on_gpu = wants_any_gpu(plan) and held.get("GPU", 0) >= 1
            most = held["GPU"] if on_gpu else held.get("CPU", 0) // plan.threads
            options = {
                "num_cpus": plan.threads,
                "num_gpus": int(on_gpu),
                "runtime_env": {"env_vars": dict(worker_settings(plan))},
            }
            crew = Actors(
                ray, self.maker, plan, size=self.workers or max(1, int(most)), mark=str(mark), options=options
            )
            yield from make_parts(crew, plan, parts, stopped=stopped)


@contextmanager
def cluster(ray: Any, plan: Plan, workers: int | None) -> Iterator[None]:
    """Be in a cluster: the one that this process is in already, the one that RAY_ADDRESS names, or one of its own."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    settings = {"address": address} if address else _own(plan, workers)
    with _environment(SETTINGS):
        try:
            ray.init(log_to_driver=False, logging_level="error", **settings)
        except (ConnectionError, RuntimeError, ValueError) as error:
            what = f"joined at RAY_ADDRESS '{address}'" if address else "started on this machine"
            raise BadInput(f"Ray could not be {what}: {str(error).splitlines()[0]}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _own(plan: Plan, workers: int | None) -> dict[str, Any]:
    """A Ray of this machine for these workers. They import what this process can import.

    It listens on all interfaces whatever address it is told, and from 2.59 on lets nobody in without a token of its own.
    """
    return {
        "address": "local",
        "num_cpus": max(cores(), (workers or 1) * plan.threads),
        "num_gpus": len(gpus()),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
        "runtime_env": {"env_vars": {**worker_settings(plan), "PYTHONPATH": import_path()}},
    }


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Have variables set where the user has not set them, and forget them afterwards."""
    ours = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
