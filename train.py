"""Trains one run, or sweeps many with -m:  python train.py model=unet loss=dice data=fgbg."""

import sys

try:
    from segbench.start import train
except KeyboardInterrupt:  # so early that no signal is held yet
    print("segbench: stopped before the first step; nothing was lost", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    train()
