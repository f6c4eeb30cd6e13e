"""Model bundles: their format on disk, and where to find them."""

from realtime_matting.models.bundle import Bundle, Card, Manifest, Metric, Role, RoleSpec, TrainingData
from realtime_matting.models.registry import find_bundle, list_bundles

__all__ = ["Bundle", "Card", "Manifest", "Metric", "Role", "RoleSpec", "TrainingData", "find_bundle", "list_bundles"]
