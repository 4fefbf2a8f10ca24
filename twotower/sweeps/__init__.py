"""Many runs from one W&B sweep file: the file, its check, the proposals, and two engines for the trials."""
