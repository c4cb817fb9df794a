"""A tiny SDXL refiner for sdxl-tiny with random weights and a golden run of both: make_refiner_references.py DIR

DIR holds models/sdxl-tiny. Needs torch, safetensors, transformers and diffusers 0.35.1.
"""
import json, os, sys
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file

root = sys.argv[1]
model = os.path.join(root, "models/sdxl-tiny")
settings = json.load(open(os.path.join(root, "pipeline/pipeline.json")))["config"]
base = StableDiffusionXLPipeline.from_pretrained(model, add_watermarker=False)
config = dict(base.unet.config)
features = base.text_encoder_2.config.hidden_size
config.update(cross_attention_dim=features, projection_class_embeddings_input_dim=(
    base.text_encoder_2.config.projection_dim + 5 * config["addition_time_embed_dim"]))
torch.manual_seed(3)
unet = UNet2DConditionModel.from_config(config).eval()
with torch.no_grad():
    for name, weight in unet.named_parameters():
        if weight.dim() > 1:
            weight.copy_(torch.randn_like(weight) / weight[0].numel() ** 0.5)
unet.save_pretrained(os.path.join(model, "refiner"))
refiner = StableDiffusionXLImg2ImgPipeline(
    vae=base.vae, text_encoder=None, text_encoder_2=base.text_encoder_2, tokenizer=None, tokenizer_2=base.tokenizer_2,
    unet=unet, scheduler=base.scheduler.__class__.from_config(base.scheduler.config), requires_aesthetics_score=True,
    force_zeros_for_empty_prompt=False, add_watermarker=False)
latents, timesteps = [], []

def record(pipe, index, timestep, values):
    latents.append(values["latents"].clone())
    timesteps.append(float(timestep))
    return values

common = dict(prompt=settings["prompt"], num_inference_steps=settings["steps"], guidance_scale=settings["guidance"],
              callback_on_step_end=record)
size = dict(height=settings["height"], width=settings["width"])
with torch.no_grad():
    half = base(**common, **size, generator=torch.Generator().manual_seed(settings["seed"]), denoising_end=0.6,
                output_type="latent").images
    image = refiner(**common, image=half, denoising_start=0.6, output_type="pt",
                    generator=torch.Generator().manual_seed(settings["seed"])).images
save_file({"latents_after_step": torch.stack(latents), "timesteps": torch.tensor(timesteps),
           "image_uint8_nhwc": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).contiguous()},
          os.path.join(root, "pipeline/sdxl-tiny_refined_euler.safetensors"))
print(timesteps)
