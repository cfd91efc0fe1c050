"""What becomes of a personal network: files, thin forms, exports, and many people at once."""

from .formats import FORMATS
from .graph import Deployed
from .onnx_file import Session, open_onnx
from .people import People
from .personal_file import PersonalFile, read_personal
from .thin import Thin

__all__ = ["FORMATS", "Deployed", "People", "PersonalFile", "Session", "Thin", "open_onnx", "read_personal"]
