"""Plain networks and their registry. They know nothing of gates."""

from .base import Backbone, ChannelGroup, ShapeSpec, hook_groups
from .registry import BACKBONES, build, spec_for
from .weights import load_weights

__all__ = ["BACKBONES", "Backbone", "ChannelGroup", "ShapeSpec", "build", "hook_groups", "load_weights", "spec_for"]
