"""Tensor names of Apple's layout rewritten to those of transformers' `fast_vlm`."""

import re

_VISION = r"^model\.vision_tower\.vision_tower\.model\."
_TIMM = "model.vision_tower.timm_model."
# Position in Apple's module list -> stage. timm counts a downsampling to the stage it opens.
_BLOCKS = {"0": 0, "2": 1, "4": 2, "7": 3, "10": 4}
_DOWN = {"1": 1, "3": 2, "5": 3, "8": 4}
_POSITION = {"6": 3, "9": 4}
_FIELDS = [
    (r"^layer_scale(_[12])?$", r"layer_scale\1.gamma"),
    (r"^convffn\.", "mlp."),
    (r"^(token_mixer|norm)\.", r"\1."),
]
_OTHER = [
    (_VISION + r"patch_embed\.", _TIMM + "stem."),
    (_VISION + r"conv_exp\.reparam_conv\.", _TIMM + "final_conv.reparam_conv."),
    (_VISION + r"conv_exp\.se\.reduce\.", _TIMM + "final_conv.se.fc1."),
    (_VISION + r"conv_exp\.se\.expand\.", _TIMM + "final_conv.se.fc2."),
    (r"^model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"^model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    (r"^model\.(layers|embed_tokens|norm)\.", r"model.language_model.\1."),
    (r"^lm_head\.", "lm_head."),
]


def transformers_name(apple_name: str) -> str | None:
    """The name in layout B, or None for the CLIP head, which that layout leaves out."""
    if re.match(_VISION + r"head\.proj$", apple_name):
        return None
    if match := re.match(_VISION + r"network\.(0|2|4|7|10)\.(\d+)\.(.*)$", apple_name):
        index, block, field = match.groups()
        for pattern, replacement in _FIELDS:
            if re.match(pattern, field):
                new_field = re.sub(pattern, replacement, field)
                return f"{_TIMM}stages.{_BLOCKS[index]}.blocks.{block}.{new_field}"
    if match := re.match(_VISION + r"network\.(\d)\.proj\.([01])\.\w+\.(\w+)$", apple_name):
        index, part, field = match.groups()
        return f"{_TIMM}stages.{_DOWN[index]}.downsample.proj.{part}.reparam_conv.{field}"
    if match := re.match(_VISION + r"network\.(6|9)\.(reparam_conv\.\w+)$", apple_name):
        return f"{_TIMM}stages.{_POSITION[match[1]]}.pos_emb.{match[2]}"
    for pattern, replacement in _OTHER:
        if re.match(pattern, apple_name):
            return re.sub(pattern, replacement, apple_name)
    raise ValueError(f"no rule for the tensor name {apple_name}")


def to_transformers(tensors: dict) -> dict:
    renamed = {transformers_name(name): tensor for name, tensor in tensors.items()}
    renamed.pop(None, None)
    return renamed


def to_apple(tensors: dict, apple_names: list[str]) -> dict:
    """Inverse of to_transformers for the given list of names; tensors not found are left out."""
    pairs = ((name, transformers_name(name)) for name in apple_names)
    return {apple: tensors[other] for apple, other in pairs if other in tensors}
