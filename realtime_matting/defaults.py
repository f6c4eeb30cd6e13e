"""What is taken where nobody says otherwise; light, so that command lines can name it in their help at once."""

DEFAULT_MODEL = "shm-balanced"
"""The built-in bundle of the preset balanced."""
DEFAULT_PRESET = "balanced"
PRESETS = ("quality", "balanced", "fast")
"""The built-in presets, the best and dearest first."""
