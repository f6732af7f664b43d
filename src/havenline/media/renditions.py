from typing import Any
def render(*a: Any, **k: Any) -> bytes: return b""
