"""Networks with random weights, by name as in an experiment, and the table of what is found in them.

`python tests/hub_networks.py` prints that of timm and torchvision, in an environment that has them.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from own_nets import OWN, TwoInputs

from pppl.backbones import Adapted, Backbone, adapt_foreign
from pppl.pruning import CostModel

_IMAGE, _TOKENS = (3, 32, 32), (1, 12)
_ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_PATCHES = {**_ENCODER, "image_size": 32, "patch_size": 8}
_STAGES = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]}
_WORDS = {"vocab_size": 100, "max_position_embeddings": 16}
# By the name of the class: its settings, and the shape of a sample.
HUB: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "MobileNetV1": ({"image_size": 32, "depth_multiplier": 0.25}, _IMAGE),
    "MobileNetV2": ({"image_size": 32, "depth_multiplier": 0.35}, _IMAGE),
    "EfficientNet": (
        {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
        _IMAGE,
    ),
    "ResNet": (_STAGES, _IMAGE),
    "RegNet": ({**_STAGES, "groups_width": 8}, _IMAGE),
    "ConvNext": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, (3, 64, 64)),
    "ViT": (_PATCHES, _IMAGE),
    "DeiT": (_PATCHES, _IMAGE),
    "Swin": (
        {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
        _IMAGE,
    ),
    "Wav2Vec2": (
        {
            **_ENCODER,
            "conv_dim": [16, 16, 16],
            "conv_stride": [5, 2, 2],
            "conv_kernel": [10, 3, 3],
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
        (1, 2000),
    ),
    "AST": ({**_ENCODER, "max_length": 64, "num_mel_bins": 32}, (1, 64, 32)),
    "Bert": ({**_ENCODER, **_WORDS}, _TOKENS),
    "DistilBert": ({**_WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}, _TOKENS),
}
OUTPUTS = 5


def hub(name: str, folder: Path) -> Adapted:
    """A network of `transformers`, from the configuration that is written to a folder."""
    import transformers

    settings, shape = HUB[name]
    getattr(transformers, f"{name}Config")(**settings, attn_implementation="eager").save_pretrained(folder)
    torch.manual_seed(0)
    return adapt_foreign(f"hf/{folder}", {"attn_implementation": "eager"}, shape, OUTPUTS)


_SMALL, _LARGE = (3, 64, 64), (3, 224, 224)
# Networks of other libraries by name, with the shape of a sample.
LIBRARIES = {
    **{
        f"timm/{name}": _SMALL
        for name in (
            *("mobilenetv3_small_100", "efficientnet_b0", "resnet18", "res2net50_26w_4s", "convnext_atto"),
            *("regnety_002", "ghostnet_100", "mobilevit_xxs", "densenet121", "efficientvit_b0"),
        )
    },
    **{
        f"timm/{name}": _LARGE
        for name in (
            *("vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
            *("mixer_s32_224", "xcit_nano_12_p16_224"),
        )
    },
    **{
        f"torchvision/{name}": _SMALL
        for name in (
            *("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "resnet18", "resnext50_32x4d"),
            *("squeezenet1_1", "densenet121", "convnext_tiny", "regnet_y_400mf", "mnasnet0_5", "googlenet"),
            *("vgg11", "alexnet"),
        )
    },
    **{f"torchvision/{name}": _LARGE for name in ("vit_b_16", "swin_t")},
}


def library_network(name: str) -> tuple[Adapted, tuple[int, ...]]:
    """A network of timm or torchvision, with the shape of a sample."""
    torch.manual_seed(0)
    arguments = {"aux_logits": False, "init_weights": False} if name.endswith("googlenet") else {}
    return adapt_foreign(name, arguments, LIBRARIES[name], OUTPUTS), LIBRARIES[name]


def own(name: str) -> Adapted:
    """A network as a user has it."""
    torch.manual_seed(0)
    cls, shape = OWN[name]
    return Adapted(cls(OUTPUTS, shape[0]), torch.rand(2, *shape))


def two_inputs() -> tuple[Adapted, dict[str, torch.Tensor]]:
    """A network with two inputs and two outputs, and an example."""
    torch.manual_seed(0)
    example = {"image": torch.rand(2, 3, 8, 8), "vector": torch.rand(2, 5)}
    return Adapted(TwoInputs(), example), example


def _rows() -> Iterator[tuple[str, Backbone, CostModel]]:
    for name, (_, shape) in HUB.items():
        with tempfile.TemporaryDirectory() as folder:
            network = hub(name, Path(folder))
        yield f"`transformers` {name}", network, CostModel(network, shape)
    for name, (_, shape) in OWN.items():
        network = own(name)
        yield name, network, CostModel(network, shape)
    network, example = two_inputs()
    yield "two inputs, two outputs", network, CostModel(network, example)


def _library_rows() -> Iterator[tuple[str, Backbone, CostModel]]:
    for name in LIBRARIES:
        network, shape = library_network(name)
        yield f"`{name}`", network, CostModel(network, shape)


def short(reason: str) -> str:
    """Return a reason without the names of layers and their sizes, so that those of several layers are one.

    >>> short("'one.two' (Conv2d) has 8 channels in its weight, but the group has 16")
    'a layer has fewer channels than the group'
    """
    reason = re.sub(r" \([^)]*\)$", "", reason)
    reason = re.sub(r"'[^']*' \(\w+\)|\b\w+(\.\w+)+", "a layer", reason)
    reason = reason.replace(" (a layer)", "")
    reason = re.sub(r"has \d+ channels in its \w+, but the group has \d+", "has fewer channels than the group", reason)
    return re.sub(r"^\w+ (is (called|not given))", r"a layer \1", reason)


def table(rows: Iterable[tuple[str, Backbone, CostModel]] | None = None) -> str:
    """Return what is found in networks as a Markdown table: those that the tests have everywhere by default."""
    lines = ["| network | groups | channels | heads | least MACs | what stays, and why |", "|---|---|---|---|---|---|"]
    for name, network, cost in _rows() if rows is None else rows:
        heads = [width for group, width in zip(network.groups, network.widths, strict=True) if group.counters]
        reasons: dict[str, int] = {}
        for each in network.left_out:  # type: ignore[attr-defined]
            reason = short(each.reason)
            reasons[reason] = reasons.get(reason, 0) + 1
        stays = "; ".join(f"{reason} ({count})" if count > 1 else reason for reason, count in reasons.items())
        least = float(cost.fraction([1] * len(network.widths)))
        channels = sum(network.widths) - sum(heads)
        lines.append(f"| {name} | {len(network.groups)} | {channels:,} | {sum(heads) or ''} | {least:.1%} | {stays} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(_library_rows()))
