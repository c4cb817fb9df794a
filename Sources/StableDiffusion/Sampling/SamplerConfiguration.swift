internal import StrictJSON

/// Which sampler a model asks for and with what parameters: `scheduler_config.json`, with changes.
package struct SamplerConfiguration: Sendable {
  package enum Method: String, Sendable, CaseIterable {
    case ddim, pndm
    case dpmSolver = "dpm-solver"
    case euler
    case eulerAncestral = "euler-ancestral"
    case lcm

    /// diffusers' class.
    var className: String {
      switch self {
      case .ddim: "DDIMScheduler"
      case .pndm: "PNDMScheduler"
      case .dpmSolver: "DPMSolverMultistepScheduler"
      case .euler: "EulerDiscreteScheduler"
      case .eulerAncestral: "EulerAncestralDiscreteScheduler"
      case .lcm: "LCMScheduler"
      }
    }

    /// What diffusers takes where the file is silent.
    var defaultSpacing: TimestepSpacing {
      switch self {
      case .ddim, .pndm, .lcm: .leading
      case .dpmSolver, .euler, .eulerAncestral: .linspace
      }
    }
  }

  package let method: Method
  package let schedule: NoiseSchedule
  package var spacing: TimestepSpacing
  package var usesKarras: Bool
  /// DDIM's share of fresh noise, 0 to 1.
  package var eta = 0.0
  /// DPM-Solver: end at the level of the first timestep instead of at none.
  package private(set) var endsAtSmallestLevel: Bool
  /// DPM-Solver: how many steps at the end of a short run are of the first order.
  private(set) var firstOrderSteps = 1
  let offset: Int
  let setsFinalAlphaToOne: Bool
  /// Predicted pictures are cut to ±this; nil if not.
  let clip: Double?
  let interpolatesLogarithmically: Bool
  let solverOrder: Int
  /// DPM-Solver: half the logarithm of the signal-to-noise ratio below which no timestep is asked (`lambda_min_clipped`).
  let leastLambda: Double
  let usesHeun: Bool
  let lowersFinalOrder: Bool
  let endsWithEuler: Bool
  /// LCM: steps that the model was distilled with.
  let originalSteps: Int
  /// LCM: timesteps are multiplied by it in the boundary condition.
  let timestepScale: Double
  private let file: String

  /// - Parameters:
  ///   - folder: the model's `scheduler` folder.
  ///   - method: instead of the file's, keeping its other parameters (diffusers' `from_config`).
  package init(folder: String, method: Method? = nil) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/scheduler_config.json"), method: method)
  }

  /// Stable Diffusion's own parameters, for packages that come without a configuration.
  ///
  /// - Parameter prediction: what the network predicts; noise if nil.
  package init(stableDiffusion method: Method, prediction: String? = nil) throws(ConfigurationError) {
    let usual = JSONConfiguration.stableDiffusionSchedule(className: method.className)
    try self.init(usual.replacing(prediction.map { ["prediction_type": .string($0)] } ?? [:]), method: method)
  }

  /// - Parameter method: instead of the file's, keeping its other parameters (diffusers' `from_config`).
  package init(_ json: JSONConfiguration, method: Method? = nil) throws(ConfigurationError) {
    file = json.file
    let chosen: Method
    if let method {
      chosen = method
    } else {
      chosen = try Self.method(json)
    }
    self.method = chosen
    // diffusers' PNDM does not know the rescaling to zero terminal SNR.
    schedule = try NoiseSchedule(chosen == .pndm ? json.replacing(["rescale_betas_zero_snr": nil]) : json)
    let spacing = try json.string("timestep_spacing", default: chosen.defaultSpacing.rawValue)
    guard let known = TimestepSpacing(rawValue: spacing) else {
      throw .unsupported(
        json.file, key: "timestep_spacing", value: "'\(spacing)'", expected: "linspace, leading or trailing")
    }
    self.spacing = known
    let karras = try json.boolean("use_karras_sigmas", default: false)
    usesKarras = karras && (chosen == .dpmSolver || chosen == .euler)
    offset = try json.whole("steps_offset", default: 0, in: 0...1000)
    setsFinalAlphaToOne = try json.boolean("set_alpha_to_one", default: chosen != .pndm)
    let clips = try json.boolean("clip_sample", default: chosen == .ddim)
    clip = clips ? try json.number("clip_sample_range", default: 1) : nil
    let interpolation = try Self.choice(json, "interpolation_type", of: ["linear", "log_linear"])
    interpolatesLogarithmically = chosen == .euler && interpolation == "log_linear"
    leastLambda =
      try chosen == .dpmSolver
      ? json.number("lambda_min_clipped", default: -.infinity, canBeInfinite: true) : -.infinity
    solverOrder = try json.whole("solver_order", default: 2, in: 1...3)
    // diffusers takes the names of other solvers' forms for midpoint.
    usesHeun = try Self.choice(json, "solver_type", of: ["midpoint", "heun", "logrho", "bh1", "bh2"]) == "heun"
    lowersFinalOrder = try json.boolean("lower_order_final", default: true)
    endsWithEuler = try json.boolean("euler_at_final", default: false)
    let end = try Self.choice(json, "final_sigmas_type", of: ["zero", "sigma_min"])
    endsAtSmallestLevel = end == "sigma_min" && (chosen == .dpmSolver || chosen == .euler)
    originalSteps = try json.whole(
      "original_inference_steps", default: min(50, schedule.timesteps), in: 1...schedule.timesteps)
    timestepScale = try json.number("timestep_scaling", default: 10)
    try Self.refuseUnknown(json, chosen)
  }

  /// DPM-Solver as ml-stable-diffusion's Swift pipeline runs it (`DPMSolverMultistepScheduler.swift`).
  package mutating func followApple() {
    guard method == .dpmSolver else { return }
    spacing = .linspace
    endsAtSmallestLevel = true
    firstOrderSteps = 2
  }

  private static func method(_ json: JSONConfiguration) throws(ConfigurationError) -> Method {
    let name = try json.string("_class_name")
    // Flax's schedulers are the same under another name.
    let plain = name.hasPrefix("Flax") ? String(name.dropFirst("Flax".count)) : name
    guard let method = Method.allCases.first(where: { $0.className == plain }) else {
      throw .unsupported(
        json.file, key: "_class_name", value: "'\(name)'",
        expected: Method.allCases.map(\.className).joined(separator: ", ")
          + "; --scheduler \(Method.allCases.map(\.rawValue).joined(separator: ", ")) takes another")
    }
    return method
  }

  /// Prepares a run.
  ///
  /// - Parameter steps: how many.
  package func sampler(steps: Int) throws(ConfigurationError) -> any Sampler {
    let most = method == .lcm ? originalSteps : schedule.timesteps - 1
    guard steps >= 1, steps <= most else {
      throw .unsupported(file, key: "steps", value: "\(steps)", expected: "1 to \(most)")
    }
    return switch method {
    case .ddim: DDIMSampler(self, steps: steps)
    case .pndm: PNDMSampler(self, steps: steps)
    case .dpmSolver: DPMSolverSampler(self, steps: steps)
    case .euler, .eulerAncestral: EulerSampler(self, steps: steps)
    case .lcm: LCMSampler(self, steps: steps)
    }
  }
}
