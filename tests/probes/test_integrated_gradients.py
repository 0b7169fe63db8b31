import re

import numpy as np
import pytest
from captum.attr import IntegratedGradients as Captum
from torch import Tensor
from toy_objective import GRIDS, N_CELLS, Polynomial, ToyObjective, polynomials

from probes.integrated_gradients import IntegratedGradients
from workbench import gradients
from workbench.attribution import CONVERGED


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_linear_and_quadratic_targets_are_exact(level, baseline) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = IntegratedGradients(level=level, baseline=baseline).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline(baseline))
    for target, polynomial in enumerate(objective.polynomials):
        np.testing.assert_allclose(found.relevance[target], polynomial.shares(own, base), rtol=1e-3, atol=1e-3)
    assert found.gap is not None
    assert found.gap.max() < 1e-3


def test_noise_is_the_mean_over_its_draws() -> None:
    objective = ToyObjective(polynomials())
    found = IntegratedGradients(baseline="noise", draws=3, seed=5).attribute(objective)
    own = objective.scores(objective.features)
    starts = [objective.scores(start) for start in objective.noise(3, 5)]
    for target, polynomial in enumerate(objective.polynomials):
        expected = np.mean([polynomial.shares(own, start) for start in starts], axis=0)
        np.testing.assert_allclose(found.relevance[target], expected, rtol=1e-3, atol=1e-3)
    assert found.gap is not None
    assert found.gap.max() < 1e-3


def test_two_steps_of_gauss_leave_the_gap_that_theory_gives() -> None:
    # f = s^4 on one cell from 0 to 1 has f' = 4 t^3, which one node integrates to 1/2 and two integrate to 1.
    objective = ToyObjective([steep(4)], grids=(GRIDS[0],))
    for steps, gap in ((1, 0.5), (2, 0.0)):
        found = IntegratedGradients(baseline="blur", steps=steps, tolerance=0).attribute(objective)
        assert found.gap is not None
        assert found.gap[0] == pytest.approx(gap, abs=1e-4)
        assert (found.gap[0] <= CONVERGED) == (gap == 0.0)


def test_converged_targets_take_no_further_steps() -> None:
    linear, _ = polynomials()
    objective = ToyObjective([linear_of(linear), steep(60)], grids=(GRIDS[0],))
    found = IntegratedGradients(baseline="blur", tolerance=0.01).attribute(objective)
    assert found.gap is not None
    assert found.gap.max() <= 0.01
    [said] = found.remarks
    found_steps = re.fullmatch(r"integrated in (\d+) to (\d+) steps \(median \d+\) for 2 targets", said)
    assert found_steps is not None
    assert int(found_steps[1]) < int(found_steps[2]) < 64


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_equals_captum(level, tiny_objective) -> None:
    objective = tiny_objective(level)
    found = IntegratedGradients(level=level, baseline="blur", steps=3, tolerance=0).attribute(objective)
    for target in range(len(objective.targets)):
        map_ = Captum(objective).attribute(
            objective.features[None].requires_grad_(),
            baselines=objective.baseline("blur")[None],
            target=target,
            n_steps=3,
            method="gausslegendre",
        )
        cells = objective.gather(map_[0].sum(-1)).detach().numpy()
        np.testing.assert_allclose(found.relevance[target], cells, atol=1e-5)
        assert np.abs(cells).max() > 1e-4


def test_memory_bound_changes_no_number(monkeypatch) -> None:
    objective = ToyObjective(polynomials())
    whole = IntegratedGradients().attribute(objective)
    monkeypatch.setattr(gradients, "UNITS_AT_ONCE", 2 * N_CELLS)
    sizes = []
    call = ToyObjective.__call__
    monkeypatch.setattr(ToyObjective, "__call__", lambda self, x: (sizes.append(len(x)), call(self, x))[1])
    parts = IntegratedGradients().attribute(objective)
    assert max(sizes) == 2
    np.testing.assert_allclose(parts.relevance, whole.relevance, atol=1e-5)


def test_progress_rises_and_a_cancel_goes_through() -> None:
    told = []
    IntegratedGradients(tolerance=0, steps=255).attribute(
        ToyObjective(polynomials()), lambda share, _: told.append(share)
    )
    assert told == sorted(told)
    assert len(told) > 2
    assert 0 <= told[0] <= told[-1] <= 1

    def stop(share: float, _doing: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        IntegratedGradients().attribute(ToyObjective(polynomials()), stop)


def steep(power: int) -> Polynomial:
    """(The share of the first cell's way that is done)^power: 0 at the blurred baseline, 1 at the sample."""
    toy = ToyObjective([], grids=(GRIDS[0],))
    own, base = (float(toy.scores(x)[0]) for x in (toy.features, toy.baseline("blur")))

    class Steep(Polynomial):
        def __call__(self, scores: Tensor) -> Tensor:
            return ((scores[:, 0] - base) / (own - base)) ** power

    return Steep(linear=np.zeros(6), pairs=np.zeros((6, 6)))


def linear_of(polynomial: Polynomial) -> Polynomial:
    return Polynomial(linear=polynomial.linear[:6], pairs=np.zeros((6, 6)))
