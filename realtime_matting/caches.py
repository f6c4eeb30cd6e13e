"""Where rtmatte keeps what it can make again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """``rtmatte`` in the user's cache folder: on Linux in XDG_CACHE_HOME, or ~/.cache. It need not exist."""
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Caches"
    else:
        configured = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG rule: a path that is not absolute is ignored.
        folder = Path(configured) if os.path.isabs(configured) else home / ".cache"
    return folder / "rtmatte"
