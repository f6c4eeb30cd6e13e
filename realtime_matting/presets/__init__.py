"""Presets: how much work a frame gets, by name; the built-in ones are the YAML files beside this module."""

from realtime_matting.presets.preset import Preset, load_preset, load_presets

__all__ = ["Preset", "load_preset", "load_presets"]
