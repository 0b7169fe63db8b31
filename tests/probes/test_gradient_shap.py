import numpy as np
import pytest
from captum.attr import GradientShap as Captum
from toy_objective import ToyObjective, polynomials

from probes.gradient_shap import GradientShap


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_a_linear_target_is_exact_from_one_baseline(level) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = GradientShap(level=level, baseline="blur", samples=4).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    np.testing.assert_allclose(found.relevance[0], polynomials()[0].shares(own, base), rtol=1e-3, atol=1e-4)
    assert found.error is not None
    assert found.gap is not None
    assert found.error[0].max() < 1e-4
    assert found.gap[0] < 1e-4


def test_a_quadratic_target_lies_within_its_own_standard_error() -> None:
    objective = ToyObjective(polynomials())
    found = GradientShap(baseline="blur", samples=256, seed=3).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    assert found.error is not None
    away = np.abs(found.relevance[1] - polynomials()[1].shares(own, base)) / found.error[1]
    assert away.max() < 4
    assert away.max() > 0.01


def test_noise_is_averaged_over_draws_that_no_other_seed_repeats() -> None:
    objective = ToyObjective(polynomials())
    one, other = (GradientShap(samples=16, seed=seed).attribute(objective) for seed in (0, 1))
    assert not np.allclose(one.relevance, other.relevance)
    starts = np.stack([objective.scores(objective.noise(1, i)[0]) for i in range(16)])
    own = objective.scores(objective.features)
    expected = np.mean([polynomials()[0].shares(own, start) for start in starts], axis=0)
    np.testing.assert_allclose(one.relevance[0], expected, rtol=1e-3, atol=1e-3)


def test_agrees_with_captum_within_the_error_of_both() -> None:
    objective = ToyObjective(polynomials())
    ours = GradientShap(baseline="blur", samples=256).attribute(objective)
    theirs = Captum(objective).attribute(
        objective.features[None].requires_grad_(),
        baselines=objective.baseline("blur")[None].repeat(2, 1, 1),
        target=1,
        n_samples=256,
    )
    assert ours.error is not None
    away = np.abs(ours.relevance[1] - objective.gather(theirs[0].sum(-1)).detach().numpy())
    assert (away < 6 * ours.error[1] + 1e-4).all()
