import numpy as np
import pytest
from captum.attr import InputXGradient as Captum
from toy_objective import ToyObjective, polynomials

from probes.input_x_gradient import InputXGradient


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("baseline", ["blur", "mean", "zero"])
def test_a_linear_target_is_shared_out_exactly(level, baseline) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = InputXGradient(level=level, baseline=baseline).attribute(objective)
    own = objective.scores(objective.features)
    base = 0 * own if baseline == "zero" else objective.scores(objective.baseline(baseline))
    expected = polynomials()[0].shares(own, base)
    np.testing.assert_allclose(found.relevance[0], expected, rtol=1e-3, atol=1e-4)


def test_from_zero_equals_captum_for_every_target() -> None:
    objective = ToyObjective(polynomials(), level="pixels")
    found = InputXGradient(level="pixels", baseline="zero").attribute(objective)
    for target in range(2):
        product = Captum(objective).attribute(objective.features[None].requires_grad_(), target=target)
        cells = objective.gather(product[0].sum(-1)).detach().numpy()
        np.testing.assert_allclose(found.relevance[target], cells, atol=1e-5)
