"""Plain networks (backbones), which know nothing of gates, and their registry."""

from . import bc_resnet, convnet, ds_cnn, resnet, tang_lin, tc_resnet  # noqa: F401 (each registers its networks)
from .backbone import Backbone, ChannelGroup, ShapeSpec, channel_axis, channels_in, hook_groups
from .basis_conv import BasisConv, can_have_basis, full_rank, put_bases
from .classifier import (
    NEVER,
    classifier_of,
    correct_logits,
    outputs_of,
    predict_classes,
    put_outputs,
    split_classifier,
    whole_outputs,
    with_classifier,
)
from .index import ChannelIndex
from .modes import evaluating
from .registry import BACKBONES, build, register_backbone, spec_for
from .resnet import PaddedSubsample
from .weights import load_weights

__all__ = [
    "BACKBONES",
    "NEVER",
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
    "classifier_of",
    "correct_logits",
    "evaluating",
    "full_rank",
    "hook_groups",
    "load_weights",
    "outputs_of",
    "predict_classes",
    "put_bases",
    "put_outputs",
    "register_backbone",
    "spec_for",
    "split_classifier",
    "whole_outputs",
    "with_classifier",
]
