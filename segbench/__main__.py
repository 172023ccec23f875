"""`python -m segbench` is the `segbench` command."""

from segbench.start import main

main()
