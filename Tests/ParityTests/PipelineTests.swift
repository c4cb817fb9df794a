import Foundation
import Generation
import Kernels
import Models
import Pictures
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Whole runs against diffusers: tokens, text states, first noise, every step, the picture.
///
/// Bound 2e-5 of the largest value: torch in 32 bits lies 2.5e-6 from double precision after five steps with guidance.
@Suite struct PipelineTests {
  private func check(_ name: String, _ found: Tensor, _ golden: Tensor, bound: Double = 2e-5) {
    #expect(found.shape.count == golden.shape.count, "\(name)")
    let result = ParityCase(
      "pipeline/" + name, error: relativeError(found.elements, golden.elements), bound: bound)
    #expect(result.holds, "\(result)")
  }

  /// The request that a file's golden numbers answer.
  private func request() throws -> (GenerationRequest, strength: Double) {
    let json = try References.json("pipeline/pipeline.json") as? [String: Any]
    let settings = try #require(json?["config"] as? [String: Any])
    var request = GenerationRequest(prompt: try #require(settings["prompt"] as? String))
    request.negativePrompt = settings["negative"] as? String
    request.width = settings["width"] as? Int
    request.height = settings["height"] as? Int
    request.steps = try #require(settings["steps"] as? Int)
    request.guidance = try #require(settings["guidance"] as? Double)
    request.seed = UInt64(try #require(settings["seed"] as? Int))
    return (request, try #require(settings["strength"] as? Double))
  }

  @Test(
    .enabled(if: References.exists("pipeline/pipeline.json")),
    arguments: References.entries("pipeline").filter { $0.hasSuffix(".safetensors") })
  func runsMatchDiffusers(entry: String) throws {
    let file = try References.safetensors("pipeline/\(entry)")
    let name = entry.replacingOccurrences(of: ".safetensors", with: "")
    let parts = name.split(separator: "_").map(String.init)
    var models = try ModelSet(References.path("models/\(parts[0])"))
    var (request, strength) = try request()
    if parts[2] == "ddim" { request.method = .ddim }
    if parts[0].hasPrefix("sdxl") { request.negativePrompt = nil }
    if parts[1] == "img2img" {
      let values = try file.tensor("init_image_0_1")
      let picture = Picture(values: Tensor(values.shape, values.elements.map { 2 * $0 - 1 }))
      request.start = GenerationRequest.Start(picture: picture, strength: strength)
    }
    if parts[1].hasPrefix("inpaint") {
      let mask = try file.tensor("mask_0_1")
      let plane = mask.elements.map { 2 * $0 - 1 }
      let colours = Tensor([1, 3, mask.shape[2], mask.shape[3]], plane + plane + plane)
      let values = try file.tensor("init_image_0_1")
      let picture = Picture(values: Tensor(values.shape, values.elements.map { 2 * $0 - 1 }))
      request.start = GenerationRequest.Start(
        picture: picture, strength: try file.doubles("strength")[0], mask: Picture(values: colours))
      if parts[1] == "inpaint9" {
        models.unet = try ModelPlace(path: References.path("models/\(parts[0])/inpainting"), .unet)
      }
    }
    if parts[1] == "refined" {
      let unet = try ModelPlace(path: References.path("models/\(parts[0])/refiner"), .unet)
      request.refiner = GenerationRequest.Refiner(unet: unet, start: 0.6)
    }
    let pipeline = try Pipeline(models, request)
    var steps: [DenoisingLoop.Step] = []
    let results = try pipeline(observe: { steps.append($0) })
    check(
      name + "/latents", .stacked(steps.map(\.latents)), try file.tensor("latents_after_step"))
    check(
      name + "/timesteps", Tensor([steps.count], steps.map(\.timestep)),
      try file.tensor("timesteps"), bound: 1e-6)
    if file.shape(of: "pred_guided") != nil {
      check(name + "/predictions", .stacked(steps.map(\.output)), try file.tensor("pred_guided"))
    }
    let golden = try file.integers("image_uint8_nhwc").map { UInt8($0) }
    let bytes = try #require(results.first).picture.bytes
    let differing = zip(bytes, golden).filter { $0 != $1 }.count
    // A value on the edge between two bytes may fall either way.
    let result = ParityCase(
      "pipeline/\(name)/bytes that differ", error: Double(differing) / Double(golden.count), bound: 1e-3)
    #expect(result.holds && bytes.count == golden.count, "\(result)")
    #expect(zip(bytes, golden).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
  }

  @Test(
    .enabled(if: References.exists("pipeline/pipeline.json")),
    arguments: References.entries("pipeline").filter { $0.hasSuffix(".safetensors") })
  func promptsMatchDiffusers(entry: String) throws {
    let file = try References.safetensors("pipeline/\(entry)")
    guard file.shape(of: "prompt_states") != nil else { return }
    let model = String(entry.prefix { $0 != "_" })
    let (request, _) = try request()
    let encoder = try PromptEncoder(ModelSet(References.path("models/\(model)")))
    let found = try encoder([WeightedPrompt(plain: request.prompt)])
    check(entry + "/states", found.states, try file.tensor("prompt_states"), bound: 5e-6)
    if let pooled = found.pooled {
      check(entry + "/pooled", pooled, try file.tensor("prompt_pooled"), bound: 5e-6)
    }
    for name in ["prompt_ids", "prompt_ids_1"] where file.shape(of: name) != nil {
      #expect(encoder.tokens(request.prompt) == (try file.integers(name)))
    }
  }
}
