"""Sources of data; every module of this package registers its own."""

from . import cifar, digits, fsdd, npz_files, omniglot, shoulder, speech_commands

__all__ = ["cifar", "digits", "fsdd", "npz_files", "omniglot", "shoulder", "speech_commands"]
