"""The causal audit: do the think tokens do anything, and what?"""

from workbench.auditing.making import DEFAULT_N, run_audit

__all__ = ["DEFAULT_N", "run_audit"]
