"""Writes timesteps and noise levels of diffusers' schedulers whose settings are rare: References/schedulers/rare.json.

    python3 Tests/ParityTests/make_schedule_references.py      (diffusers 0.42.1, torch)
"""

import json
import pathlib

from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler)

STABLE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
COSINE = dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1)

cases = [
    (EulerDiscreteScheduler, dict(STABLE, interpolation_type="log_linear", steps_offset=1, timestep_spacing="leading"), 10),
    (EulerDiscreteScheduler, dict(STABLE, interpolation_type="log_linear"), 9),
    (EulerDiscreteScheduler, dict(STABLE, interpolation_type="log_linear", use_karras_sigmas=True), 7),
    (DPMSolverMultistepScheduler, COSINE, 10),
    (DPMSolverMultistepScheduler, dict(COSINE, timestep_spacing="trailing"), 12),
    (DPMSolverMultistepScheduler, dict(COSINE, timestep_spacing="leading"), 12),
    (DPMSolverMultistepScheduler, STABLE, 11),
    (PNDMScheduler, dict(STABLE, skip_prk_steps=True, steps_offset=1), 10),
]
for steps in (48, 96, 112, 144, 192, 50):
    cases.append((DDIMScheduler, dict(STABLE, timestep_spacing="trailing", clip_sample=False), steps))
    cases.append((EulerDiscreteScheduler, dict(STABLE, timestep_spacing="trailing"), steps))
    cases.append((DPMSolverMultistepScheduler, dict(STABLE, timestep_spacing="trailing"), steps))

found = []
for kind, settings, steps in cases:
    scheduler = kind(**settings)
    scheduler.set_timesteps(steps)
    # As diffusers saves it: DPM-Solver's configuration holds -Infinity.
    entry = {"config": json.loads(scheduler.to_json_string()), "steps": steps,
             "timesteps": [float(t) for t in scheduler.timesteps]}
    if hasattr(scheduler, "sigmas"):
        entry["sigmas"] = [float(s) for s in scheduler.sigmas]
    found.append(entry)

path = pathlib.Path(__file__).parent.parent / "References/schedulers/rare.json"
path.write_text(json.dumps(found, indent=1) + "\n")
