/// Which keys of `scheduler_config.json` are read, which change nothing here, and which would change a picture and are
/// not built.
extension SamplerConfiguration {
  /// Read here or by ``NoiseSchedule``, or refused where their value matters.
  private static let readKeys: Set = [
    "algorithm_type", "beta_end", "beta_schedule", "beta_start", "clip_sample", "clip_sample_range", "corrector_steps",
    "euler_at_final", "final_sigmas_type", "interpolation_type", "lambda_min_clipped", "lower_order_final",
    "num_train_timesteps", "original_inference_steps", "predict_epsilon", "prediction_type", "rescale_betas_zero_snr",
    "set_alpha_to_one", "sigma_max", "sigma_min", "skip_prk_steps", "solver_order", "solver_type", "steps_offset",
    "thresholding", "timestep_scaling", "timestep_spacing", "timestep_type", "trained_betas", "use_beta_sigmas",
    "use_dynamic_shifting", "use_exponential_sigmas", "use_flow_sigmas", "use_karras_sigmas", "use_lu_lambdas",
    "variance_type",
  ]

  /// Settings of what is off, and of diffusers' other samplers, whose files its classes take and whose keys they pass over.
  private static let idleKeys: Set = [
    "corrector_k", "corrector_order", "corrector_selection", "corrector_selection_tau", "disable_corrector",
    "dynamic_thresholding_ratio", "eta", "flow_shift", "noise_sampler_seed", "num_inference_steps", "predict_x0", "rho",
    "s_churn", "s_max", "s_min", "s_noise", "sample_max_value", "sigma_data", "sigma_schedule", "snr_shift_scale",
    "solver_p", "steps", "tensor_format", "time_shift_type", "use_noise_sampler",
  ]

  /// One of a few words.
  ///
  /// - Throws: if the file has another.
  static func choice(
    _ json: JSONConfiguration, _ key: String, of words: [String]
  ) throws(ConfigurationError) -> String {
    let word = try json.string(key, default: words[0])
    guard words.contains(word) else {
      throw .unsupported(json.file, key: key, value: "'\(word)'", expected: words.joined(separator: " or "))
    }
    return word
  }

  /// Refuses parameters that would change the result and are not built, and keys that nobody knows.
  static func refuseUnknown(_ json: JSONConfiguration, _ method: Method) throws(ConfigurationError) {
    // Other samplers than the file's pass over what is its own, and then there is a way out.
    let rules: [(methods: [Method], keys: [String], wayOut: String)] = [
      ([.ddim, .dpmSolver, .lcm], ["thresholding"], "euler"),
      ([.dpmSolver, .euler], ["use_exponential_sigmas", "use_beta_sigmas"], "ddim"),
      ([.dpmSolver], ["use_lu_lambdas", "use_flow_sigmas", "use_dynamic_shifting"], "ddim"),
    ]
    for rule in rules where rule.methods.contains(method) {
      for key in rule.keys where try json.boolean(key, default: false) {
        throw .unsupported(
          json.file, key: key, value: "true", expected: "false; --scheduler \(rule.wayOut) takes another sampler")
      }
    }
    if json.has("trained_betas") {
      throw .unsupported(json.file, key: "trained_betas", value: "a list", expected: "null")
    }
    // Of diffusers before 0.12; later ones say it by `prediction_type`.
    if try !json.boolean("predict_epsilon", default: true) {
      throw .unsupported(json.file, key: "predict_epsilon", value: "false", expected: "true")
    }
    switch method {
    case .pndm:
      if try !json.boolean("skip_prk_steps", default: false) {
        throw .unsupported(json.file, key: "skip_prk_steps", value: "false", expected: "true")
      }
    case .dpmSolver:
      let algorithm = try json.string("algorithm_type", default: "dpmsolver++")
      guard algorithm == "dpmsolver++" else {
        throw .unsupported(
          json.file, key: "algorithm_type", value: "'\(algorithm)'",
          expected: "dpmsolver++; --scheduler euler-ancestral, euler or ddim takes another sampler")
      }
      let variance = try json.string("variance_type", default: "")
      guard !variance.hasPrefix("learned") else {
        throw .unsupported(
          json.file, key: "variance_type", value: "'\(variance)'",
          expected: "null: networks with a variance are not built")
      }
    case .euler:
      if try json.string("timestep_type", default: "discrete") != "discrete" {
        throw .unsupported(
          json.file, key: "timestep_type", value: json.text("timestep_type"),
          expected: "discrete; --scheduler ddim takes another sampler")
      }
      for key in ["sigma_min", "sigma_max"] where json.has(key) {
        throw .unsupported(
          json.file, key: key, value: json.text(key), expected: "null; --scheduler ddim takes another sampler")
      }
    case .ddim:
      guard try json.whole("corrector_steps", default: 0, in: 0...1000) == 0 else {
        throw .unsupported(
          json.file, key: "corrector_steps", value: json.text("corrector_steps"),
          expected: "0; --scheduler euler takes another sampler")
      }
    case .eulerAncestral, .lcm: break
    }
    try json.refuseKeys(except: readKeys.union(idleKeys))
  }
}
