"""How long a map takes, 10,000 latents of width 1,024 by default.

Vectors are drawn (50 groups in 64 of the dimensions, noise in all). Told apart are numba's compiling, which happens once a
process and is shorter when its cache is warm, and everything else: PCA, neighbours, two UMAP fits, measures and groups.

    python benchmarks/map.py --json
"""

import time

import numpy as np
from _measure import emit, parser

from workbench.latent_map import NO_STEP, MapSample
from workbench.mapping.making import make_map
from workbench.mapping.points import Points
from workbench.mapping.settings import MapSettings
from workbench.types import Provenance

GROUPS, CORE = 50, 64


def make_points(n: int, dim: int, seed: int) -> Points:
    """Points around far-apart centres; every sample has a thought of three words."""
    draw = np.random.default_rng(seed)
    core = min(CORE, dim)
    centres = np.zeros((GROUPS, dim), dtype=np.float32)
    centres[:, :core] = draw.standard_normal((GROUPS, core))
    group = draw.integers(GROUPS, size=n)
    vectors = centres[group] + 0.3 * draw.standard_normal((n, dim), dtype=np.float32)
    samples = tuple(MapSample(id=f"s{i}", text="drawn", thoughts=(f"group word{group[i]} drawn",)) for i in range(n))
    provenance = Provenance(
        checkpoint="drawn", weights_sha256="", family="none", format="none", dtype="float32", device="cpu", seed=seed
    )
    return Points(
        of="embedding",
        layer=None,
        vectors=vectors,
        sample=np.arange(n, dtype=np.int32),
        k=np.full(n, NO_STEP, dtype=np.int32),
        samples=samples,
        provenance=provenance,
        title="Drawn vectors",
    )


def main() -> None:
    """Make one map and print how long its steps took."""
    options = parser("Seconds to make a map of drawn vectors.")
    options.add_argument("--n", type=int, default=10_000)
    options.add_argument("--dim", type=int, default=1024)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--no-repeat", action="store_true", help="leave out the second fit")
    args = options.parse_args()
    points = make_points(args.n, args.dim, args.seed)
    painted: list[float] = []
    begin = time.perf_counter()
    settings = MapSettings(seed=args.seed, repeat=not args.no_repeat)
    found = make_map([points], settings, paint=lambda _: painted.append(time.perf_counter() - begin))
    total = time.perf_counter() - begin
    compiling = found.seconds.get("compile", 0.0)
    result = {
        "points": args.n,
        "dim": args.dim,
        "shown": found.shown,
        "seconds_without_compile": round(total - compiling, 2),
        "seconds_compile": round(compiling, 2),
        "seconds_first_paint": round(painted[0], 2),
        "seconds": {name: round(seconds, 2) for name, seconds in found.seconds.items()},
        "figures": {f"{figure.name} ({figure.projection})": round(figure.value, 4) for figure in found.figures},
        "groups": len(found.clusters),
        "versions": dict(found.versions),
        "notes": list(found.notes),
    }
    emit(result, args.json)


if __name__ == "__main__":
    main()
