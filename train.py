"""Trains one run, or sweeps many with -m:  python train.py model=unet loss=dice data=fgbg."""

from segbench.start import train

if __name__ == "__main__":
    train()
