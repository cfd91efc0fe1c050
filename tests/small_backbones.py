"""Small sizes of all backbones: options and a sample shape that make tests quick."""

# Options and sample shape by the start of a backbone's name; the longest match counts.
_SMALL = {
    "convnet": ({}, (1, 8, 8)),
    "resnet": ({"width": 4}, (3, 8, 8)),
    "res": ({"width": 5}, (1, 13, 10)),
    "ds_cnn": ({"width": 6}, (1, 13, 9)),
    "tc_resnet": ({"width": 0.25}, (1, 19, 6)),
    "bc_resnet": ({"scale": 0.5}, (1, 9, 40)),
}


def small(name: str) -> tuple[dict, tuple[int, ...]]:
    """Return small options and a sample shape for a registered backbone."""
    return _SMALL[max((start for start in _SMALL if name.startswith(start)), key=len)]
