import Checkpoints
import Foundation
import Kernels
import StableDiffusion
import Tensors
import TestSupport
import Testing

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
    _ settings: [String: Any], _ method: SamplerConfiguration.Method
  ) throws -> SamplerConfiguration {
    let scratch = try ScratchFolder()
    try scratch.write("scheduler_config.json", JSONSerialization.data(withJSONObject: settings))
    return try SamplerConfiguration(folder: scratch.path, method: method)
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
    let path = References.path("schedulers/schedulers.json")
    let text = try String(contentsOfFile: path, encoding: .utf8)
      .replacingOccurrences(of: "-Infinity", with: "null")
    let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    let traces = (json?["traces"] as? [String: Any])?[family.name] as? [String: [String: Any]] ?? [:]
    guard !traces.isEmpty else { return }
    let file = try References.safetensors("schedulers/\(family.name).safetensors")
    for (key, settings) in traces.sorted(by: { $0.key < $1.key }) {
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

  @Test(.enabled(if: References.exists("schedulers/ddim.safetensors")))
  func stochasticSteps() throws {
    let ddim = try References.safetensors("schedulers/ddim.safetensors")
    for eta in [0.5, 1.0] {
      var settings = try configuration(Self.stable, .ddim)
      settings.eta = eta
      let latents = try slices("eta\(eta)/n10/latents", ddim)
      let noise = try slices("eta\(eta)/n10/variance_noise", ddim)
      check(
        "schedulers/ddim/eta\(eta)", run(try settings.sampler(steps: 10), from: latents[0], noise: noise),
        latents.flatMap(\.elements))
    }
    let euler = try References.safetensors("schedulers/euler_ancestral.safetensors")
    let latents = try slices("linspace/n10/latents", euler)
    let sampler = try configuration(Self.stable, .eulerAncestral).sampler(steps: 10)
    let noise = try slices("linspace/n10/noise", euler)
    check(
      "schedulers/euler_ancestral", run(sampler, from: latents[0], noise: noise),
      latents.flatMap(\.elements))
  }

  /// Runs that start in the middle, from a noisy picture.
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
      let sampler = try chosen.sampler(steps: 10)
      let noisy = sampler.noisy(sample, noise, at: 4)
      check("schedulers/img2img/\(name)/noisy", noisy.elements, try file.floats(name + "/noisy").elements)
      check(
        "schedulers/img2img/\(name)", run(sampler, from: noisy, at: 4),
        try file.floats(name + "/latents").elements)
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
    #expect(throws: ConfigurationError.self) { try configuration([:], .ddim).sampler(steps: 0) }
  }
}
