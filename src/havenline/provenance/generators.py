"""Programs and services by the names they write; only the family is ever told in clear."""

from __future__ import annotations

import re

_FAMILIES = (
    ("adobe firefly", "adobe-firefly"),
    ("made with google ai", "google-ai"),
    ("google c2pa", "google-ai"),
    ("imagen", "google-ai"),
    ("gemini", "google-ai"),
    ("dall-e", "openai"),
    ("dall·e", "openai"),
    ("chatgpt", "openai"),
    ("gpt-4o", "openai"),
    ("gpt-image", "openai"),
    ("openai", "openai"),
    ("bing image creator", "microsoft"),
    ("microsoft designer", "microsoft"),
    ("microsoft_responsible_ai", "microsoft"),
    ("midjourney", "midjourney"),
    ("novelai", "novelai"),
    ("invokeai", "invokeai"),
    ("invoke-ai", "invokeai"),
    ("comfyui", "comfyui"),
    ("ruinedfooocus", "fooocus"),
    ("fooocus", "fooocus"),
    ("sd.next", "sdnext"),
    ("vladmandic", "sdnext"),
    ("automatic1111", "a1111"),
    ("stable-diffusion-webui", "a1111"),
    ("stableswarmui", "swarmui"),
    ("swarmui", "swarmui"),
    ("draw things", "draw-things"),
    ("diffusionbee", "diffusionbee"),
    ("easy diffusion", "easy-diffusion"),
    ("easydiffusion", "easy-diffusion"),
    ("dreamstudio", "stability"),
    ("stability ai", "stability"),
    ("stable diffusion", "stable-diffusion"),
    ("flux.1", "flux"),
    ("leonardo.ai", "leonardo"),
    ("ideogram", "ideogram"),
    ("tensor.art", "tensorart"),
    ("tensorart", "tensorart"),
    ("civitai", "civitai"),
    ("grok", "grok"),
    ("runway", "runway"),
)
_WORDS = tuple((re.compile(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z])"), family) for name, family in _FAMILIES)
FAMILIES = frozenset(family for _, family in _FAMILIES) | {"forge"}
"""Every family that is told."""
_LONGEST = 4096


def family_of(text: str) -> str | None:
    """The family of generators that `text` names in its first 4,096 characters, or None. A name proves nothing."""
    lower = text[:_LONGEST].lower()
    return next((family for word, family in _WORDS if word.search(lower)), None)
