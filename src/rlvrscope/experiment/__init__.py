"""Many runs side by side: planned, run, read back, compared at equal pass@1."""
