"""One reader per file, found by themselves."""
