import Files
import Foundation
import Kernels
import StableDiffusion
import StrictJSON
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Samplers against diffusers' schedulers, with `0.3 x + 0.1 sin(t / 100)` in place of a network.
///
/// Bound 5e-6 of the largest latent: torch in 32 bits lies 7.5e-7 from double precision.
@Suite struct SamplerTests {
  static let families: [(name: String, method: SamplerConfiguration.Method)] = [
    ("ddim", .ddim), ("pndm", .pndm), ("dpmpp2m", .dpmSolver), ("euler", .euler), ("lcm", .lcm),
  ]

  private func network(_ x: Tensor, _ timestep: Float) -> Tensor {
    let shift = 0.1 * sin(Double(timestep) / 100)
    return Tensor(x.shape, x.elements.map { Float(0.3 * Double($0) + shift) })
  }

  /// A sampler as a scheduler folder with this configuration makes it.
  private func configuration(
    _ settings: StrictJSON, _ method: SamplerConfiguration.Method?
  ) throws -> SamplerConfiguration {
    let scratch = try ScratchFolder()
    try scratch.write("scheduler_config.json", settings.encoded())
    return try SamplerConfiguration(folder: scratch.path, method: method)
  }

  private func configuration(
    _ settings: [String: Any], _ method: SamplerConfiguration.Method
  ) throws -> SamplerConfiguration {
    let json = try JSONSerialization.data(withJSONObject: settings)
    return try configuration(try StrictJSON.parse(Array(json)), method)
  }

  private static var stable: [String: Any] {
    [
      "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true,
    ]
  }

  /// All latents of a run, the first sample included.
  private func run(
    _ sampler: any Sampler, from start: Tensor, at first: Int = 0, noise: [Tensor] = []
  ) -> [Float] {
    var sampler = sampler
    var sample = start
    var trace = sample.elements
    for position in first..<sampler.timesteps.count {
      let output = network(sampler.modelInput(sample, at: position), sampler.timesteps[position])
      sample = sampler.step(output, at: position, from: sample) { noise[position] }.sample
      trace += sample.elements
    }
    return trace
  }

  private func slices(_ name: String, _ file: SafetensorsFile) throws -> [Tensor] {
    let shape = try #require(file.shape(of: name))
    let elements = try file.floats(name).elements
    let count = shape.dropFirst().reduce(1, *)
    return (0..<shape[0]).map {
      Tensor(Shape(Array(shape.dropFirst())), Array(elements[$0 * count..<($0 + 1) * count]))
    }
  }

  private func check(_ name: String, _ found: [Float], _ golden: [Float], bound: Double = 5e-6) {
    let result = ParityCase(name, error: relativeError(found, golden), bound: bound)
    #expect(result.holds, "\(result)")
  }

  @Test(.enabled(if: References.exists("schedulers/schedulers.json")), arguments: families.indices)
  func tracesMatchDiffusers(family index: Int) throws {
    let family = Self.families[index]
    let json = try StrictJSON.read(References.path("schedulers/schedulers.json"), dialect: .python)
    guard case .object(let traces)? = json["traces"]?[family.name] else { return }
    let file = try References.safetensors("schedulers/\(family.name).safetensors")
    for (key, settings) in traces.map({ ($0.key, $0.value) }) {
      let steps = try #require(Int(key.split(separator: "/").last?.dropFirst(1) ?? ""))
      let sampler = try configuration(settings, family.method).sampler(steps: steps)
      let name = "schedulers/\(family.name)/\(key)"
      let timesteps = try file.doubles(key + "/timesteps").map { Float($0) }
      check(name + "/timesteps", sampler.timesteps, timesteps, bound: 1e-6)
      let latents = try slices(key + "/latents", file)
      let scale = try file.doubles(key + "/init_noise_sigma")[0]
      #expect(abs(sampler.initialNoiseScale / scale - 1) < 1e-6, "\(name)")
      let noise = file.shape(of: key + "/noise") == nil ? [] : try slices(key + "/noise", file)
      let found = run(sampler, from: latents[0], noise: noise)
      check(name, found, latents.flatMap(\.elements))
    }
  }

  /// Runs that draw noise, whatever shares and steps the files hold: `etaE/nN` and `SPACING/nN`.
  @Test(.enabled(if: References.exists("schedulers/ddim.safetensors")))
  func stochasticSteps() throws {
    let ddim = try References.safetensors("schedulers/ddim.safetensors")
    for key in Self.runs("variance_noise", in: ddim) {
      let parts = key.split(separator: "/")
      var settings = try configuration(Self.stable, .ddim)
      settings.eta = try #require(Double(parts[0].dropFirst("eta".count)))
      let sampler = try settings.sampler(steps: try #require(Int(parts[1].dropFirst())))
      try checkRun("schedulers/ddim/\(key)", sampler, key, noise: "variance_noise", ddim)
    }
    guard References.exists("schedulers/euler_ancestral.safetensors") else { return }
    let euler = try References.safetensors("schedulers/euler_ancestral.safetensors")
    for key in Self.runs("noise", in: euler) {
      let parts = key.split(separator: "/")
      var settings = try configuration(Self.stable, .eulerAncestral)
      settings.spacing = try #require(TimestepSpacing(rawValue: String(parts[0])))
      let sampler = try settings.sampler(steps: try #require(Int(parts[1].dropFirst())))
      try checkRun("schedulers/euler_ancestral/\(key)", sampler, key, noise: "noise", euler)
    }
  }

  /// Runs of a file that have an array of this name.
  private static func runs(_ array: String, in file: SafetensorsFile) -> [String] {
    file.names.filter { $0.hasSuffix("/" + array) && $0.split(separator: "/").count == 3 }
      .map { String($0.dropLast(array.count + 1)) }
  }

  private func checkRun(
    _ name: String, _ sampler: any Sampler, _ key: String, noise: String, _ file: SafetensorsFile
  ) throws {
    let latents = try slices(key + "/latents", file)
    check(
      name, run(sampler, from: latents[0], noise: try slices("\(key)/\(noise)", file)), latents.flatMap(\.elements))
  }

  /// Runs that start in the middle, from a noisy picture: at the timestep that the file says, of as many as it lists.
  @Test(.enabled(if: References.exists("schedulers/img2img_add_noise.safetensors")))
  func startsInTheMiddle() throws {
    let file = try References.safetensors("schedulers/img2img_add_noise.safetensors")
    let sample = try slices("sample", file)[0]
    let noise = try slices("noise", file)[0]
    for (name, method) in Self.families where file.shape(of: name + "/noisy") != nil {
      var settings = Self.stable
      if method == .dpmSolver { settings["steps_offset"] = 0 }
      var chosen = try configuration(settings, method)
      if method == .euler { chosen.spacing = .leading }
      let timesteps = try file.doubles(name + "/timesteps").map { Float($0) }
      let start = Float(try file.doubles(name + "/timestep")[0])
      // The file may list all timesteps of the run, or those from the start on; PNDM asks once more than there are steps.
      let candidates = (1...200).lazy.compactMap { try? chosen.sampler(steps: $0) }
      let sampler = try #require(
        candidates.first {
          $0.timesteps == timesteps
            || ($0.timesteps.contains(start) && $0.timesteps.suffix(timesteps.count) == timesteps[...])
        },
        "\(name): no run has these timesteps")
      let first = try #require(sampler.timesteps.lastIndex(of: start))
      let noisy = sampler.noisy(sample, noise, at: first)
      check("schedulers/img2img/\(name)/noisy", noisy.elements, try file.floats(name + "/noisy").elements)
      check(
        "schedulers/img2img/\(name)", run(sampler, from: noisy, at: first),
        try file.floats(name + "/latents").elements)
    }
  }

  /// Settings that few models have: timesteps, and the noise levels where the scheduler has some.
  @Test func rareSettings() throws {
    let path = References.path("schedulers/rare.json")
    guard References.exists("schedulers/rare.json") else { return }
    guard case .array(let cases) = try StrictJSON.read(path, dialect: .python) else {
      Issue.record("\(path): no list")
      return
    }
    try #require(!cases.isEmpty)
    for item in cases {
      guard let settings = item["config"], case .integer(let steps)? = item["steps"] else { continue }
      let sampler = try configuration(settings, nil).sampler(steps: steps)
      let name =
        "schedulers/rare/\(settings["_class_name"]?.inWords ?? "")/\(settings["timestep_spacing"]?.inWords ?? "")/\(steps)"
      check(name + "/timesteps", sampler.timesteps, Self.floats(item["timesteps"]), bound: 1e-6)
      guard item["sigmas"] != nil else { continue }
      let sigmas = Self.floats(item["sigmas"])
      let (nothing, one) = (Tensor(repeating: 0, shape: [1]), Tensor(repeating: 1, shape: [1]))
      for position in sampler.timesteps.indices {
        let share = sampler.noisy(nothing, one, at: position).elements[0]
        let signal = sampler.noisy(one, nothing, at: position).elements[0]
        check("\(name)/\(position)", [share / signal], [sigmas[position]])
      }
    }
  }

  private static func floats(_ json: StrictJSON?) -> [Float] {
    guard case .array(let elements)? = json else { return [] }
    return elements.compactMap { element in
      switch element {
      case .number(let number): Float(number)
      case .integer(let number): Float(number)
      default: nil
      }
    }
  }

  @Test(.enabled(if: References.exists("schedulers/tables.safetensors")))
  func tables() throws {
    let file = try References.safetensors("schedulers/tables.safetensors")
    let golden = try file.floats("alphas_cumprod").elements
    check("schedulers/alphas", NoiseSchedule().cumulativeAlphas, golden, bound: 2e-7)
    let zero = NoiseSchedule(zeroTerminalSNR: true).cumulativeAlphas
    check(
      "schedulers/zero_snr", zero, try file.floats("alphas_cumprod_zero_snr").elements, bound: 1e-6)
    #expect(zero.last == 0)
  }

  @Test func refusals() throws {
    #expect(throws: ConfigurationError.self) {
      try configuration(["_class_name": "X"].merging(Self.stable) { $1 }, .lcm).sampler(steps: 51)
    }
    #expect(throws: ConfigurationError.self) {
      try configuration(["timestep_spacing": "random"], .ddim)
    }
    #expect(throws: ConfigurationError.self) { try configuration(["thresholding": true], .ddim) }
    // The way out that the message names is one.
    #expect(throws: Never.self) { try configuration(["thresholding": true], .euler) }
    #expect(throws: ConfigurationError.self) { try configuration([:], .ddim).sampler(steps: 0) }
    // Each of these changes a picture in diffusers; the same keys mean nothing to samplers that do not have them.
    for (key, value, method, other) in [
      ("timestep_type", "continuous", .euler, .ddim), ("sigma_min", 0.03, .euler, .eulerAncestral),
      ("use_flow_sigmas", true, .dpmSolver, .euler), ("variance_type", "learned_range", .dpmSolver, .euler),
      ("corrector_steps", 2, .ddim, .lcm),
    ] as [(String, Any, SamplerConfiguration.Method, SamplerConfiguration.Method)] {
      #expect(throws: ConfigurationError.self, "\(key)") { try configuration([key: value], method) }
      #expect(throws: Never.self, "\(key)") { try configuration([key: value], other) }
    }
    #expect(throws: ConfigurationError.self) { try configuration(["solver_type": "heum"], .dpmSolver) }
    let misspelt = "use_karas_sigmas"
    do {
      _ = try configuration([misspelt: true], .dpmSolver)
      Issue.record("a misspelt key was taken")
    } catch { #expect("\(error)".contains(misspelt)) }
  }
}
