"""What is taken where nobody says otherwise; light, so that command lines can name it in their help at once."""

DEFAULT_MODEL = "shm-balanced"
"""The built-in bundle of the preset balanced."""
