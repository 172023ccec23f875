"""`python -m segbench` is the `segbench` command."""

import sys

try:
    from segbench.start import main
except KeyboardInterrupt:  # so early that no signal is held yet
    print("segbench: stopped; nothing was done", file=sys.stderr)
    sys.exit(130)

main()
