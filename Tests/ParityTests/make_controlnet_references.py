"""A tiny ControlNet for sd1-tiny with random weights and its golden numbers: make_controlnet_references.py DIR

DIR holds models/sd1-tiny. Needs torch, safetensors and diffusers 0.35.1.
"""
import os, sys
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file

root = sys.argv[1]
torch.manual_seed(7)
unet = UNet2DConditionModel.from_pretrained(os.path.join(root, "models/sd1-tiny/unet")).eval()
net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16)).eval()
with torch.no_grad():
    for name, weight in net.named_parameters():
        if name.startswith(("controlnet_down_blocks", "controlnet_mid_block", "controlnet_cond_embedding")):
            weight.copy_(torch.randn_like(weight) * (0.5 / max(1, weight[0].numel()) ** 0.5))
    sample = torch.randn(2, 4, 8, 8)
    context = torch.randn(2, 77, net.config.cross_attention_dim)
    picture = torch.rand(2, 3, 64, 64)
    down, middle = net(sample, 401, context, picture, return_dict=False)
    output = unet(sample, 401, context, down_block_additional_residuals=down,
                  mid_block_additional_residual=middle, return_dict=False)[0]
net.save_pretrained(os.path.join(root, "models/sd1-tiny/controlnet"))
tensors = {"sample": sample, "encoder_hidden_states": context, "picture": picture, "middle": middle, "out": output}
tensors |= {f"down.{i}": x.contiguous() for i, x in enumerate(down)}
os.makedirs(os.path.join(root, "controlnet"), exist_ok=True)
save_file(tensors, os.path.join(root, "controlnet/sd1-tiny.safetensors"))
