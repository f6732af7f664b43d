"""What a file says of its own origin: readers of pictures, sidecars and model files, and signals with their limits.

Pure functions on bytes, bounded in time and memory, for the closed process that opens files.
"""

from havenline.provenance.pictures import read_manifest_beside, read_picture, read_sidecar
from havenline.provenance.signals import ABSENCE, NOT_SHOWN, STATE_MEANS, Signal, SignalKind, Strength

__all__ = [
    "ABSENCE",
    "NOT_SHOWN",
    "STATE_MEANS",
    "Signal",
    "SignalKind",
    "Strength",
    "read_manifest_beside",
    "read_picture",
    "read_sidecar",
]
