"""Trains one run, or sweeps many with -m:  python train.py model=unet loss=dice data=fgbg."""

from segbench.commands.launch import train_main

if __name__ == "__main__":
    train_main()
