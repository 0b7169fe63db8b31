"""Ways to spread an export over processes and machines, one file each."""
