"""Many runs, one best submission: plans, sweeps, selection, ensembles, submissions."""
