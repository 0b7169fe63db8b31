"""A map in a few lines, for terminals and logs."""

from typing import Any

from workbench.latent_map import LatentMap
from workbench.store import to_json

_MOVERS = 20


def summarise(latent_map: LatentMap) -> dict[str, Any]:
    """What a map shows and what it is worth, as JSON values."""
    return {
        "title": latent_map.title,
        "of": latent_map.of,
        "layer": latent_map.layer,
        "checkpoints": [made.checkpoint for made in latent_map.checkpoints],
        "source": dict(latent_map.source),
        "points": len(latent_map),
        "points_found": latent_map.parameters.get("points_found", len(latent_map)),
        "samples": len(latent_map.samples),
        "duplicates": latent_map.duplicates,
        "shown": latent_map.shown,
        "figures": [to_json(figure) for figure in latent_map.figures],
        "clusters": [to_json(cluster) for cluster in latent_map.clusters],
        "alignment": {} if latent_map.pairing is None else dict(latent_map.pairing.alignment),
        "movers": _movers(latent_map),
        "columns": [column.name for column in latent_map.columns],
        "parameters": dict(latent_map.parameters),
        "seed": latent_map.seed,
        "versions": dict(latent_map.versions),
        "seconds": {name: round(seconds, 3) for name, seconds in latent_map.seconds.items()},
        "notes": list(latent_map.notes),
        "reading": latent_map.reading,
    }


def _movers(latent_map: LatentMap) -> list[dict[str, Any]]:
    if latent_map.pairing is None:
        return []
    found = []
    for mover in latent_map.pairing.movers[:_MOVERS]:
        point = int(latent_map.pairing.pairs[mover.pair, 0])
        sample, step = latent_map.samples[int(latent_map.sample[point])], int(latent_map.k[point])
        found.append(
            {
                "sample": sample.id,
                "think_position": "all" if step < 0 else str(step + 1),
                "change": mover.change,
                "thoughts": list(sample.thoughts),
            }
        )
    return found
