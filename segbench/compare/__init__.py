"""`compare`: reads run folders as plain text, groups seeds, and says whether a difference is real. No torch.

`segbench.compare` is this package and the function of the front door at once: Python puts a package's name into the
one that holds it as soon as anything of it is imported, so the package itself takes the call.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return `segbench.compare.front.compare(...)`."""
        from segbench.compare.front import compare

        return compare(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
