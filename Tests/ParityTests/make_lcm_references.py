"""Golden runs of diffusers' LCMScheduler, added to a references folder: make_lcm_references.py DIR

Needs torch, safetensors and diffusers 0.35.1. The network is 0.3 x + 0.1 sin(t / 100), as in the other traces.
"""
import json, math, os, sys
import torch
from diffusers import LCMScheduler
from safetensors.torch import save_file

folder = os.path.join(sys.argv[1], "schedulers")
betas = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
shape = (1, 4, 3, 2)
tensors, traces = {}, {}
for prediction in ("epsilon", "v_prediction"):
    for steps in (1, 4, 8):
        scheduler = LCMScheduler(**betas, clip_sample=False, set_alpha_to_one=False, prediction_type=prediction)
        scheduler.set_timesteps(steps)
        start = torch.randn(shape, generator=torch.Generator().manual_seed(5))
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(100 + i)) for i in range(steps)])
        latents, x = [start], start
        for i, t in enumerate(scheduler.timesteps):
            output = 0.3 * x + 0.1 * math.sin(float(t) / 100)
            generator = torch.Generator().manual_seed(100 + i)
            x = scheduler.step(output, t, x, generator=generator, return_dict=False)[0]
            latents.append(x)
        key = f"{prediction}/n{steps}"
        tensors |= {f"{key}/latents": torch.stack(latents), f"{key}/noise": noise,
                    f"{key}/timesteps": scheduler.timesteps.long(),
                    f"{key}/init_noise_sigma": torch.tensor(float(scheduler.init_noise_sigma))}
        traces[key] = {k: v for k, v in scheduler.config.items() if not k.startswith("_") and k != "trained_betas"}
save_file(tensors, os.path.join(folder, "lcm.safetensors"))
path = os.path.join(folder, "schedulers.json")
manifest = json.load(open(path))
manifest["traces"]["lcm"] = traces
json.dump(manifest, open(path, "w"), indent=1)
