"""What every job needs, imported once by the server whose forks take the jobs; see `workers`.

Nothing of it looks at the number of threads or at variables of the environment before a run begins.
"""

from __future__ import annotations

import gc

import segbench.sweeps.work
import segbench.training.run

__all__ = ["segbench"]

gc.collect()
gc.freeze()  # a pass of the collector would give each fork a copy of its own
