internal import Foundation

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
    try self.init(JSONConfiguration(file: folder + "/scheduler_config.json"), method)
  }

  /// Stable Diffusion's own parameters, for packages that come without a configuration.
  ///
  /// - Parameter prediction: what the network predicts; noise if nil.
  package init(stableDiffusion method: Method, prediction: String? = nil) throws(ConfigurationError) {
    var values: [String: Any] = [
      "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true,
    ]
    values["prediction_type"] = prediction
    try self.init(JSONConfiguration(file: "Stable Diffusion's schedule", values: values), method)
  }

  private init(_ json: JSONConfiguration, _ method: Method?) throws(ConfigurationError) {
    file = json.file
    let chosen: Method
    if let method {
      chosen = method
    } else {
      chosen = try Self.method(json)
    }
    self.method = chosen
    schedule = try NoiseSchedule(json)
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
    interpolatesLogarithmically = try json.string("interpolation_type", default: "linear") == "log_linear"
    solverOrder = try json.whole("solver_order", default: 2, in: 1...3)
    usesHeun = try json.string("solver_type", default: "midpoint") == "heun"
    lowersFinalOrder = try json.boolean("lower_order_final", default: true)
    endsWithEuler = try json.boolean("euler_at_final", default: false)
    endsAtSmallestLevel = try json.string("final_sigmas_type", default: "zero") == "sigma_min"
    originalSteps = try json.whole(
      "original_inference_steps", default: 50, in: 1...schedule.timesteps)
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
    guard let method = Method.allCases.first(where: { $0.className == name }) else {
      throw .unsupported(
        json.file, key: "_class_name", value: "'\(name)'",
        expected: Method.allCases.map(\.className).joined(separator: ", ") + ", or --scheduler")
    }
    return method
  }

  /// Parameters that would change the result and are not built.
  private static func refuseUnknown(
    _ json: JSONConfiguration, _ method: Method
  ) throws(ConfigurationError) {
    for key in [
      "thresholding", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
      "use_flow_sigmas",
    ] where try json.boolean(key, default: false) {
      throw .unsupported(json.file, key: key, value: "true", expected: "false")
    }
    if json.has("trained_betas") {
      throw .unsupported(json.file, key: "trained_betas", value: "a list", expected: "null")
    }
    if method == .pndm, try !json.boolean("skip_prk_steps", default: false) {
      throw .unsupported(json.file, key: "skip_prk_steps", value: "false", expected: "true")
    }
    if method == .dpmSolver, json.has("algorithm_type") { try json.require("algorithm_type", "dpmsolver++") }
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
