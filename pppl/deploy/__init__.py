"""Deployment of personal networks: files, thin forms, exports, and many people on one network."""

from .graph import Deployed
from .limit import Limit
from .onnx_file import Session, open_onnx
from .people import People
from .personal_file import PersonalFile, read_personal
from .request import DeployRequest
from .thin import Thin
from .timing import Latency, time_in_turns

__all__ = [
    "DeployRequest",
    "Deployed",
    "Latency",
    "Limit",
    "People",
    "PersonalFile",
    "Session",
    "Thin",
    "open_onnx",
    "read_personal",
    "time_in_turns",
]
