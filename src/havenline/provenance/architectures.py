"""Words that names of fields and of architectures are made of: only what is made of these is told in clear."""

from __future__ import annotations

import re

_WORDS = """
stable diffusion xl v1 v2 v3 sd sd1 sd2 sd3 sdxl base refiner medium large turbo lightning lora lycoris loha
lokr dora adapter textual inversion controlnet control net t2i inpaint inpainting depth flux dev schnell fill
kontext krea chroma auraflow pixart sigma alpha hunyuan dit video wan cosmos lumina image kolors playground
cascade wuerstchen unet vae clip text encoder ip vision t5 t5xxl llama qwen qwen2 qwen3 gemma gemma2 gemma3
mistral mixtral phi phi2 phi3 falcon gpt2 gptneox gptj starcoder bert whisper mamba rwkv rwkv6 deepseek
deepseek2 command r cohere2 glm4 chatglm ltx ltxv mochi svd animatediff pony illustrious diffusers comfyui sgm
lcm hyper hypernetwork embedding mm vl moe a14b and hidream networks modules model
"""
_MODELSPEC = """
sai_model_spec architecture implementation title resolution description author date hash_sha256 license
usage_hint thumbnail tags merged_from trigger_phrase prediction_type timestep_range encoder_layer preprocessor
is_negative_embedding unet_dtype vae_dtype implementation_version
"""
_KOHYA = """
output_name base_model_version sd_model_name sd_model_hash new_sd_model_hash vae_name vae_hash new_vae_hash
network_module network_dim network_alpha network_args dataset_dirs datasets tag_frequency bucket_info
training_comment sd_scripts_commit_hash session_id training_started_at training_finished_at num_train_images
num_reg_images num_batches_per_epoch num_epochs epoch steps max_train_steps learning_rate unet_lr
text_encoder_lr optimizer lr_scheduler lr_warmup_steps batch_size_per_device total_batch_size resolution
clip_skip seed v2 mixed_precision full_fp16 gradient_checkpointing gradient_accumulation_steps max_token_length
cache_latents color_aug flip_aug random_crop shuffle_caption keep_tokens enable_bucket min_bucket_reso
max_bucket_reso reg_dataset_dirs prior_loss_weight noise_offset min_snr_gamma lowram caption_dropout_rate
face_crop_aug_range
"""
_GGUF = """
architecture name author version organization description basename finetune size_label license license.name
license.link url repo_url source.url source.repo_url file_type quantization_version alignment quantized_by type
uuid doi tags languages datasets base_model.count base_model.0.name base_model.0.organization
base_model.0.repo_url
"""
_OTHERS = "sshs_model_hash sshs_legacy_hash format producer_name producer_version domain doc_string"
_KNOWN = frozenset(_WORDS.split())
_NUMBER = re.compile(r"v?\d{1,3}(?:[._]\d{1,3})?[bkmp]?\Z")
_APART = re.compile(r"[-_/ .]+")

FIELDS = frozenset(
    prefix + name
    for prefix, names in (("modelspec.", _MODELSPEC), ("ss_", _KOHYA), ("general.", _GGUF), ("", _OTHERS))
    for name in names.split()
)
"""Names of header fields that are told; any other may be a text itself."""


def architecture(text: str) -> str | None:
    """`text` in lower case where it is made of known words and numbers alone, else None."""
    lower = text.strip().lower()
    words = [word for word in _APART.split(lower) if word]
    known = len(lower) <= 80 and all(word in _KNOWN or _NUMBER.match(word) for word in words)
    return lower if words and known and any(word in _KNOWN for word in words) else None
