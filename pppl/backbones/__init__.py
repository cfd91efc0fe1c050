"""Plain networks and their registry. They know nothing of gates."""

from .base import Backbone, ChannelGroup, ShapeSpec, channel_axis, channels_in, hook_groups
from .basis import BasisConv, can_have_basis, full_rank, put_bases
from .index import ChannelIndex
from .modes import evaluating
from .registry import BACKBONES, build, spec_for
from .resnet import PaddedSubsample
from .weights import load_weights

__all__ = [
    "BACKBONES",
    "Backbone",
    "BasisConv",
    "ChannelGroup",
    "ChannelIndex",
    "PaddedSubsample",
    "ShapeSpec",
    "build",
    "can_have_basis",
    "channel_axis",
    "channels_in",
    "evaluating",
    "full_rank",
    "hook_groups",
    "load_weights",
    "put_bases",
    "spec_for",
]
