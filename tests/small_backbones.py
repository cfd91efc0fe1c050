"""Every backbone, small: options and a shape of samples that make its tests quick."""

# By the start of a name, the longest that fits.
_SMALL = {
    "convnet": ({}, (1, 8, 8)),
    "resnet": ({"width": 4}, (3, 8, 8)),
    "res": ({"width": 5}, (1, 13, 10)),
    "ds_cnn": ({"width": 6}, (1, 13, 9)),
    "tc_resnet": ({"width": 0.25}, (1, 19, 6)),
    "bc_resnet": ({"scale": 0.5}, (1, 9, 40)),
}


def small(name: str) -> tuple[dict, tuple[int, ...]]:
    """Options and shape of a registered backbone."""
    return _SMALL[max((start for start in _SMALL if name.startswith(start)), key=len)]
