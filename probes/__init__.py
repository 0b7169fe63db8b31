"""The measurements: one method per file, found by themselves. A probe knows records and the seam, never a renderer."""
