"""Plain networks and their registry. They know nothing of gates."""

from .base import Backbone, ChannelGroup, ShapeSpec, hook_groups
from .registry import BACKBONES, build, spec_for

__all__ = ["BACKBONES", "Backbone", "ChannelGroup", "ShapeSpec", "build", "hook_groups", "spec_for"]
