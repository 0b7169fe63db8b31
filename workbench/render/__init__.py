"""Panels drawn: as terminal text, as HTML fragments, as plotly figures and as one self-contained report."""
