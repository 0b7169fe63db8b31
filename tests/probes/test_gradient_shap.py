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
    runs = []
    for _ in range(16):
        theirs = Captum(objective).attribute(
            objective.features[None].requires_grad_(),
            baselines=objective.baseline("blur")[None].repeat(2, 1, 1),
            target=1,
            n_samples=64,
        )
        runs.append(objective.gather(theirs[0].sum(-1)).detach().numpy())
    error = np.hypot(np.std(runs, axis=0, ddof=1) / 4, ours.error[1] if ours.error is not None else np.inf)
    assert (np.abs(ours.relevance[1] - np.mean(runs, axis=0)) < 6 * error + 1e-4).all()


@pytest.mark.parametrize("samples", [15, 16])
def test_the_standard_error_is_what_other_seeds_differ_by_and_rather_too_large(samples) -> None:
    objective = ToyObjective(polynomials())
    found = [GradientShap(baseline="blur", samples=samples, seed=seed).attribute(objective) for seed in range(200)]
    spread = np.std([one.relevance[1] for one in found], axis=0)
    told = np.sqrt(np.mean([np.square(one.error[1]) for one in found if one.error is not None], axis=0))
    moving = spread > 1e-3 * spread.max()
    assert (spread[moving] < 1.1 * told[moving]).all()
    assert (told[moving] < 3 * spread[moving]).all()


def test_evenly_spread_places_err_much_less_than_places_at_random() -> None:
    objective = ToyObjective(polynomials())
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    expected = polynomials()[1].shares(own, base)
    found = GradientShap(baseline="blur", samples=16).attribute(objective)
    # Of a quadratic only the mean place counts, which strata keep within half a stratum of the middle, and mostly far less.
    assert np.abs(found.relevance[1] - expected).max() < np.abs(expected).max() / 32
