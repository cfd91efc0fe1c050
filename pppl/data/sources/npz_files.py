"""Data sets that users bring as a file in the identity-dataset format."""

from ..catalogue import register_source
from ..features import LogMel
from ..npz import load_npz

_NPZ = "an .npz file in the identity-dataset format"

register_source(
    "mnist_writers",
    file="mnist-writers.npz",
    samples=70_000,
    size="56 MB",
    identities="836 writers",
    licence="CC BY-SA 3.0 (LeCun et al. 1998; writers: QMNIST, Yadav, Bottou 2019)",
    origin=f"MNIST with the writers as {_NPZ} (https://github.com/facebookresearch/qmnist has them)",
)(load_npz)
register_source(
    "arabic_speech_commands",
    file="arabic-speech-commands.npz",
    samples=12_000,
    size="24 MB",
    identities="30 speakers",
    licence="CC BY 4.0 (Ghandoura, Hjabo, Al Dakkak 2021)",
    log_mel=LogMel(),
    origin=f"its log-mels as {_NPZ} (https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset)",
)(load_npz)
