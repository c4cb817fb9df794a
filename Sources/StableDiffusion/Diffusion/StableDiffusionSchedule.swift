internal import StrictJSON

extension JSONConfiguration {
  /// The scheduler's configuration that every Stable Diffusion model shares but for the class, for models that come without
  /// one.
  ///
  /// - Parameter className: diffusers' class.
  package static func stableDiffusionSchedule(className: String) -> JSONConfiguration {
    JSONConfiguration(
      file: "Stable Diffusion's schedule",
      values: [
        "_class_name": .string(className), "beta_start": .number(0.00085), "beta_end": .number(0.012),
        "beta_schedule": .string("scaled_linear"), "num_train_timesteps": .integer(1000),
        "clip_sample": .boolean(false), "set_alpha_to_one": .boolean(false), "steps_offset": .integer(1),
        "skip_prk_steps": .boolean(true), "prediction_type": .string("epsilon"),
      ])
  }
}
