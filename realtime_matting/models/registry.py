"""Finding bundles: those that come with the package, by name, and any other by its folder."""

from pathlib import Path

from realtime_matting.errors import BundleError
from realtime_matting.models.bundle import MANIFEST, Bundle

BUILT_IN = Path(__file__).parent


def list_bundles() -> list[str]:
    """Names of the built-in bundles, sorted."""
    return sorted(path.parent.name for path in BUILT_IN.glob(f"*/{MANIFEST}"))


def find_bundle(name_or_folder: str | Path) -> Bundle:
    """Load a bundle by its built-in name or from its folder.

    A built-in name wins over a folder of the same name in the current directory; write ``./name`` for the folder.

    Raises:
        BundleError: neither exists, or the bundle is damaged.
    """
    known = list_bundles()
    if isinstance(name_or_folder, str) and name_or_folder in known:
        return Bundle.load(BUILT_IN / name_or_folder)
    folder = Path(name_or_folder)
    if not folder.exists():
        raise BundleError(
            f"{name_or_folder}: no such model or folder; built-in models: {', '.join(known) or 'none'};"
            " or give the folder of a bundle"
        )
    return Bundle.load(folder)
