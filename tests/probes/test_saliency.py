import numpy as np
import pytest
from captum.attr import Saliency as Captum
from toy_objective import WEIGHTS, ToyObjective, polynomials

from probes.saliency import Saliency


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_a_linear_target_has_the_length_of_its_weights(level) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = Saliency(level=level).attribute(objective)
    units = len(objective.features) // 9
    linear = np.abs(polynomials()[0].linear) * np.linalg.norm(WEIGHTS) * units
    np.testing.assert_allclose(found.relevance[0], linear, rtol=1e-5)
    assert found.gap is None


def test_gradients_are_captums_for_every_target() -> None:
    objective = ToyObjective(polynomials(), level="pixels")
    found = Saliency(level="pixels").attribute(objective)
    for target in range(2):
        gradient = Captum(objective).attribute(objective.features[None].requires_grad_(), target=target, abs=False)
        lengths = objective.gather(gradient[0].norm(dim=-1)).numpy()
        np.testing.assert_allclose(found.relevance[target], lengths, rtol=1e-6)
    assert objective.seen == 3  # ours needed one pass for both targets
