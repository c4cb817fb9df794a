"""Writes tiny UNets of rare forms with what diffusers answers: Variants/NAME/{config.json, diffusion_pytorch_model.safetensors, io.safetensors}.

    python3 Tests/ModelsTests/make_unet_variants.py      (diffusers 0.42.1, torch)
"""

import pathlib
import shutil

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import LatentConsistencyModelPipeline
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "Variants"
BASE = dict(
    sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=2, norm_num_groups=4,
    cross_attention_dim=12, attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))

VARIANTS = {
    "no-middle": dict(mid_block_type=None),
    "residual-middle": dict(mid_block_type="UNetMidBlock2D"),
    "listed-layers": dict(
        transformer_layers_per_block=[[1, 2], [2, 1]], reverse_transformer_layers_per_block=[[1, 1, 2], [2, 1, 1]]),
    "unlisted-levels": dict(
        transformer_layers_per_block=[[], [2, 1]], reverse_transformer_layers_per_block=[[1, 1, 2], []],
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D")),
    "text-alone": dict(only_cross_attention=[True, False]),
    "text-alone-everywhere": dict(only_cross_attention=True),
    "told-guidance": dict(time_cond_proj_dim=6),
    "oblong": dict(sample_size=(12, 8)),
}

shutil.rmtree(HERE, ignore_errors=True)
for seed, (name, changes) in enumerate(VARIANTS.items()):
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**(BASE | changes)).eval()
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, 0, 0.15)
    folder = HERE / name
    unet.save_pretrained(folder)
    height, width = changes.get("sample_size", (8, 8))
    sample, context = torch.randn(2, 4, height, width), torch.randn(2, 5, 12)
    timestep = torch.tensor([500, 37])
    extra = {}
    if "time_cond_proj_dim" in changes:
        # What the pipeline tells the UNet for a guidance of 7.5.
        guidance = torch.tensor([7.5 - 1, 7.5 - 1])
        extra["timestep_cond"] = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, guidance, embedding_dim=6)
    with torch.no_grad():
        output = unet(sample, timestep, context, **extra).sample
    save_file({"sample": sample, "timestep": timestep.float(), "encoder_hidden_states": context, "output": output},
              folder / "io.safetensors")

# A VAE with a mean and a deviation of its latents: what diffusers' SDXL pipeline decodes, z -> decode(z / scale * std + mean).
torch.manual_seed(99)
vae = AutoencoderKL(
    block_out_channels=(4, 8), norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.5, latents_mean=[0.3, -0.2, 0.5, 1.0],
    latents_std=[2.0, 0.5, 1.5, 3.0]).eval()
for parameter in vae.parameters():
    torch.nn.init.normal_(parameter, 0, 0.15)
vae.save_pretrained(HERE / "vae-normalized")
latents, image = torch.randn(1, 4, 6, 6), torch.rand(1, 3, 12, 12) * 2 - 1
mean, std = (torch.tensor(x).view(1, 4, 1, 1) for x in (vae.config.latents_mean, vae.config.latents_std))
with torch.no_grad():
    decoded = vae.decode(latents / 0.5 * std + mean).sample
    posterior = vae.encode(image).latent_dist
    encoded = (posterior.mean - mean) * 0.5 / std
    deviation = posterior.std * 0.5 / std
save_file({"latents": latents, "decoded": decoded, "image": image, "encoded": encoded, "deviation": deviation},
          HERE / "vae-normalized/io.safetensors")
