"""A tiny safety checker with random weights and its golden numbers: make_safety_references.py DIR

Needs torch, safetensors, transformers and diffusers 0.35.1.
"""
import os, sys
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from safetensors.torch import save_file
from transformers import CLIPConfig

root = sys.argv[1]
torch.manual_seed(11)
config = CLIPConfig(
    projection_dim=24,
    vision_config=dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                       image_size=28, patch_size=7, projection_dim=24))
checker = StableDiffusionSafetyChecker(config).eval()
with torch.no_grad():
    for weight in checker.parameters():
        weight.copy_(torch.randn_like(weight) * (1 / max(1, weight[0].numel()) ** 0.5 if weight.dim() > 1 else 0.2))
    pictures = torch.randn(6, 3, 28, 28)
    pooled = checker.vision_model(pictures)[1]
    embeddings = checker.visual_projection(pooled)
    # Thresholds in the middle of what these pictures reach, so that some are caught.
    checker.concept_embeds_weights.copy_(cosine_distance(embeddings, checker.concept_embeds).max(0)[0] - 0.004)
    checker.special_care_embeds_weights.copy_(
        cosine_distance(embeddings, checker.special_care_embeds).max(0)[0] - 0.004)
    checker.concept_embeds_weights[8:] += 0.01
    checker.special_care_embeds_weights[1:] += 1
    flags = torch.stack([
        torch.tensor(checker(p[None], [torch.zeros(4, 4, 3).numpy()])[1][0]) for p in pictures])
folder = os.path.join(root, "models/safety-tiny/safety_checker")
checker.save_pretrained(folder)
os.makedirs(os.path.join(root, "safety"), exist_ok=True)
save_file({"pictures": pictures, "embeddings": embeddings, "flags": flags.long()},
          os.path.join(root, "safety/safety-tiny.safetensors"))
print(flags)
