"""Deployment of personal networks: files, thin forms, exports, and many people on one network."""

from .formats import FORMATS
from .graph import Deployed
from .onnx_file import Session, open_onnx
from .people import People
from .personal_file import PersonalFile, read_personal
from .thin import Thin

__all__ = ["FORMATS", "Deployed", "People", "PersonalFile", "Session", "Thin", "open_onnx", "read_personal"]
