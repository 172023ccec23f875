"""Compares the runs below folders; the same as `segbench compare`.

python scripts/compare.py outputs
python scripts/compare.py outputs --by loss,optimizer.lr --metric val/mean_iou --format csv --out table.csv
"""

from __future__ import annotations

import sys

from segbench.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["compare"]
    main()
