"""What a probe is, and how one registers.

A probe is a frozen dataclass: its fields are at once its command-line flags, controls on the page, config keys and cache
key. A field is annotated `Annotated[type, Control(...)]`, so that each surface can say in plain words what it does.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

from workbench.embedder import Embedder
from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.types import ProbeResult, Trace
from workbench.views import Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How one field of a probe is offered to people."""

    help: str
    """One plain sentence."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a model probe is given: the trace of one sample, and traces of other samples as controls."""

    trace: Trace
    others: tuple[Trace, ...] = ()


class Probe(abc.ABC):
    """Facts that every probe states about itself."""

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever the numbers change."""
    reference: ClassVar[str]
    """Where the method comes from."""

    @abc.abstractmethod
    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        """What to show of a result of this probe."""


class TraceProbe(Probe):
    """A pure function of a trace: needs no model."""

    @abc.abstractmethod
    def measure(self, trace: Trace) -> ProbeResult:
        """Measure one trace."""


class ModelProbe(Probe):
    """A measurement that asks the model something through the seam."""

    needs: ClassVar[tuple[type, ...]]
    """Abilities (interfaces of `workbench.embedder`) that the model must have."""

    @abc.abstractmethod
    def measure(self, subject: Subject, model: Any) -> ProbeResult:
        """Measure one subject with the model, which has every ability in `needs`."""


PROBES: Registry[type[Probe]] = Registry("probe", package="probes", group="thinkscope.probes")


def traced_probes() -> dict[str, type[Probe]]:
    """The registered probes that measure a trace, by name: what an inspection runs.

    Methods that attribute, and tests of their maps, are asked for one at a time; no inspection runs them.
    """
    return {name: probe for name, probe in PROBES.items() if issubclass(probe, TraceProbe | ModelProbe)}


ProbeT = TypeVar("ProbeT", bound=type[Probe])


def register_probe(probe: ProbeT) -> ProbeT:
    """Register a probe class under its `name`. Write it above `@dataclass`, which makes the class anew."""
    PROBES.register(probe.name)(probe)
    return probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One field of a probe as a surface sees it."""

    name: str
    type: type
    """bool, int, float or str."""
    default: Any
    choices: tuple[str, ...]
    """Valid values of a Literal field, else empty."""
    control: Control


def parameters(probe: type[Probe]) -> tuple[Parameter, ...]:
    """The probe's fields, in order, ready to become flags, controls or config keys."""
    hints = get_type_hints(probe, include_extras=True)
    found = []
    for item in dataclasses.fields(probe):  # pyright: ignore[reportArgumentType] - every concrete probe is a dataclass
        inner, *extras = get_args(hints[item.name])
        control = next((extra for extra in extras if isinstance(extra, Control)), None)
        if control is None:
            raise TypeError(f"field '{item.name}' of probe '{probe.name}' needs Annotated[..., Control(help=...)]")
        choices = get_args(inner) if get_origin(inner) is Literal else ()
        kind = str if choices else inner
        found.append(Parameter(name=item.name, type=kind, default=item.default, choices=choices, control=control))
    return tuple(found)


def build(probe: type[Probe], values: Mapping[str, Any]) -> Probe:
    """Make a probe from named values. A misspelt name or a value out of range raises with the right name or range."""
    known = {parameter.name: parameter for parameter in parameters(probe)}
    for name, value in values.items():
        if name not in known:
            raise UnknownName(f"parameter of probe '{probe.name}'", name, known)
        _check(probe.name, known[name], value)
    return probe(**values)


def probe_of(result: ProbeResult) -> Probe:
    """The probe that made a result, with its parameters; what a result keeps beside the probe's fields is left out."""
    probe = PROBES.get(result.probe)
    names = {parameter.name for parameter in parameters(probe)}
    return build(probe, {name: value for name, value in result.parameters.items() if name in names})


def key_of(probe: Probe) -> tuple[str, int, str]:
    """What to remember a probe's results by: equal for probes that measure the same."""
    # `repr` of a frozen dataclass names every field, and is hashable where a field's value may not be.
    return probe.name, probe.version, repr(probe)


def missing(probe: type[Probe], model: Embedder) -> str | None:
    """Why this model cannot take this probe, in one sentence; None when it can."""
    needs: Sequence[type] = getattr(probe, "needs", ())
    # A capability of a plug-in may say in plain words what it is; else its name must do.
    lacking = [str(getattr(need, "ability", need.__name__)) for need in needs if not isinstance(model, need)]
    if lacking:
        return f"{probe.title} needs a model that {' and '.join(lacking)}; '{model.info.name}' does not."
    return None


def _check(probe: str, parameter: Parameter, value: Any) -> None:
    where = f"parameter '{parameter.name}' of probe '{probe}'"
    if parameter.choices and value not in parameter.choices:
        raise BadInput(f"{where} is '{value}', but must be one of {', '.join(map(str, parameter.choices))}.")
    if parameter.type in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise BadInput(f"{where} is {value!r}, but must be a number.")
    if parameter.type is bool and not isinstance(value, bool):
        raise BadInput(f"{where} is {value!r}, but must be true or false.")
    low, high = parameter.control.low, parameter.control.high
    if (low is not None and value < low) or (high is not None and value > high):
        raise BadInput(f"{where} is {value}, but must lie between {low} and {high}.")
