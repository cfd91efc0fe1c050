"""Plain networks (backbones), which know nothing of gates, and their registry."""

from . import bc_resnet, convnet, ds_cnn, resnet, tang_lin, tc_resnet  # noqa: F401 (each registers its networks)
from .adapted import Adapted, LeftOut
from .backbone import Backbone, ShapeSpec, channels_in
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
from .cuts import by_channel, channel_dim, cuts, filters, refusal
from .examples import tensors_of
from .foreign import adapt_foreign, is_foreign, plain_module
from .group_check import check_groups
from .groups import ChannelGroup, Counter, Span, channel_axis, hook_groups
from .index import ChannelIndex
from .modes import evaluating
from .registry import BACKBONES, build, register_backbone, source_of_backbone, spec_for
from .resnet import PaddedSubsample
from .surgery import artifact_bytes, slice_network
from .weights import load_weights

__all__ = [
    "BACKBONES",
    "NEVER",
    "Adapted",
    "Backbone",
    "BasisConv",
    "ChannelGroup",
    "ChannelIndex",
    "Counter",
    "LeftOut",
    "PaddedSubsample",
    "ShapeSpec",
    "Span",
    "adapt_foreign",
    "artifact_bytes",
    "build",
    "by_channel",
    "can_have_basis",
    "channel_axis",
    "channel_dim",
    "channels_in",
    "check_groups",
    "classifier_of",
    "correct_logits",
    "cuts",
    "evaluating",
    "filters",
    "full_rank",
    "hook_groups",
    "is_foreign",
    "load_weights",
    "outputs_of",
    "plain_module",
    "predict_classes",
    "put_bases",
    "put_outputs",
    "refusal",
    "register_backbone",
    "slice_network",
    "source_of_backbone",
    "spec_for",
    "split_classifier",
    "tensors_of",
    "whole_outputs",
    "with_classifier",
]
