"""How a record travels out of the sandbox: length of the header, JSON header, numbers, MAC."""

from __future__ import annotations

import struct

LENGTH = struct.Struct(">Q")
MAC_BYTES = 32
