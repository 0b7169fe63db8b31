"""Thinkscope's workbench: records, the model seam, recipes, evaluation, rendering, terminal and web app."""

__version__ = "0.1.0"
