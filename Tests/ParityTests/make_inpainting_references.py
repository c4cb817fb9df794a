"""Golden inpainting runs of sd1-tiny, with its UNet and with one of 9 channels: make_inpainting_references.py DIR

DIR holds models/sd1-tiny and pipeline/. Needs torch, safetensors, transformers and diffusers 0.35.1.
"""
import json, os, sys
import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import save_file

root = sys.argv[1]
model = os.path.join(root, "models/sd1-tiny")
settings = json.load(open(os.path.join(root, "pipeline/pipeline.json")))["config"]
with safe_open(os.path.join(root, "pipeline/sd1-tiny_img2img_ddim_strength0.6.safetensors"), "pt") as file:
    image = file.get_tensor("init_image_0_1")
mask = torch.zeros(1, 1, *image.shape[2:])
mask[:, :, 8:48, 16:] = 1
pipe = StableDiffusionInpaintPipeline.from_pretrained(model, safety_checker=None, requires_safety_checker=False)
pipe.scheduler = DDIMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
    steps_offset=1)
torch.manual_seed(5)
wide = UNet2DConditionModel.from_config(dict(pipe.unet.config, in_channels=9)).eval()
with torch.no_grad():
    for weight in wide.parameters():
        if weight.dim() > 1:
            weight.copy_(torch.randn_like(weight) / weight[0].numel() ** 0.5)
wide.save_pretrained(os.path.join(model, "inpainting"))
narrow = pipe.unet
for name, unet, strength in (("inpaint4", narrow, 0.8), ("inpaint4whole", narrow, 1.0), ("inpaint9", wide, 1.0)):
    pipe.unet = unet
    pipe.register_to_config(requires_safety_checker=False)
    latents, timesteps = [], []

    def record(pipe, index, timestep, values):
        latents.append(values["latents"].clone())
        timesteps.append(float(timestep))
        return values

    with torch.no_grad():
        result = pipe(
            prompt=settings["prompt"], negative_prompt=settings["negative"], image=image, mask_image=mask,
            height=settings["height"], width=settings["width"], strength=strength,
            num_inference_steps=settings["steps"], guidance_scale=settings["guidance"], output_type="pt",
            generator=torch.Generator().manual_seed(settings["seed"]), callback_on_step_end=record).images
    save_file({"latents_after_step": torch.stack(latents), "timesteps": torch.tensor(timesteps),
               "init_image_0_1": image, "mask_0_1": mask, "strength": torch.tensor(strength),
               "image_uint8_nhwc": (result.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).contiguous()},
              os.path.join(root, f"pipeline/sd1-tiny_{name}_ddim.safetensors"))
    print(name, timesteps)
