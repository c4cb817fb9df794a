internal import Digests
internal import Foundation
package import Generation
internal import Kernels
internal import Pictures
internal import StableDiffusion
internal import Tensors

/// `sdtune generate`: pictures from a prompt, written as PNG files that say how they were made.
package struct GenerateJob: Sendable {
  /// What came out.
  package struct Summary: Codable, Sendable {
    package struct Image: Codable, Sendable {
      package let path: String
      package let seed: UInt64
      /// Whether the safety checker blackened it.
      package let isFlagged: Bool
    }

    package let images: [Image]
    package let scheduler: String
    package let steps: Int
    package let width: Int
    package let height: Int
    /// Of a call of the UNet with all its rows.
    package let secondsPerStep: Double
    package let seconds: Double
    package let peakMemoryBytes: Int
  }

  private let pipeline: Pipeline
  private let output: String

  /// - Parameter output: the file; several pictures get a number before its ending.
  package init(_ models: ModelSet, _ request: GenerationRequest, output: String) throws {
    guard output.lowercased().hasSuffix(".png") else {
      throw JobError.option(name: "--output", expected: "a file name that ends in .png", found: output)
    }
    try OutputPlace.check(output)
    pipeline = try Pipeline(models, request)
    self.output = output
  }

  package func callAsFunction(
    previewEvery: Int, isInterrupted: @Sendable () -> Bool, notify: (Pipeline.Event) -> Void
  ) throws -> Summary {
    let began = ContinuousClock.now
    var secondsPerStep = 0.0
    var images: [Summary.Image] = []
    func handle(_ event: Pipeline.Event) throws {
      switch event {
      case .progress(let progress): secondsPerStep = progress.secondsPerStep
      case .preview(let picture, let image, let step):
        let name = path(image, suffix: String(format: "-step%03d", step))
        try PNGFile.write(picture, to: name)
      case .result(let result, let image):
        let name = path(image)
        try PNGFile.write(result.picture, texts: texts(result), to: name)
        images.append(Summary.Image(path: name, seed: result.seed, isFlagged: result.isFlagged))
      case .stage, .warning: break
      }
      notify(event)
    }
    let results = try pipeline(
      previewEvery: previewEvery, isInterrupted: isInterrupted, notify: handle)
    return Summary(
      images: images, scheduler: pipeline.configuration.method.rawValue, steps: pipeline.request.steps,
      width: results.first?.picture.width ?? 0, height: results.first?.picture.height ?? 0,
      secondsPerStep: secondsPerStep, seconds: (ContinuousClock.now - began) / .seconds(1),
      peakMemoryBytes: ProcessMemory.peakBytes)
  }

  private func path(_ image: Int, suffix: String = "") -> String {
    let stem = String(output.dropLast(4))
    let number = pipeline.request.count > 1 ? String(format: "-%03d", image + 1) : ""
    return stem + number + suffix + output.suffix(4)
  }

  /// The parameters as other tools read them, and as JSON.
  private func texts(_ result: Pipeline.Result) -> [(keyword: String, text: String)] {
    let request = pipeline.request
    let unet = pipeline.models.unet.path
    var settings: [(name: String, value: String)] = [
      ("Steps", "\(request.steps)"), ("Sampler", pipeline.configuration.method.rawValue),
      ("Schedule type", pipeline.configuration.usesKarras ? "Karras" : pipeline.configuration.spacing.rawValue),
      ("CFG scale", "\(request.guidance)"), ("Seed", "\(result.seed)"),
      ("Size", "\(result.picture.width)x\(result.picture.height)"),
      ("Model", pipeline.models.path), ("UNet", unet), ("Compatibility", request.compatibility.rawValue),
    ]
    if let start = request.start { settings.append(("Denoising strength", "\(start.strength)")) }
    if request.eta > 0 { settings.append(("Eta", "\(request.eta)")) }
    if request.precision != .single { settings.append(("Precision", request.precision.rawValue)) }
    if let mask = request.start?.mask { settings.append(("Mask", "\(mask.width)x\(mask.height)")) }
    if let control = request.control {
      settings += [("ControlNet", control.place.path), ("ControlNet scale", "\(control.scale)")]
    }
    if let refiner = request.refiner {
      settings += [("Refiner", refiner.unet.path), ("Refiner switch at", "\(refiner.start)")]
    }
    if request.readsWeights { settings.append(("Prompt weights", "on")) }
    if request.overflow != .cut { settings.append(("Long prompt", "on")) }
    if request.reducesMemory { settings.append(("Reduced memory", "on")) }
    if let source = request.noiseSource { settings.append(("RNG", source.rawValue)) }
    if let hash = try? SHA256.of(place: unet) { settings.append(("UNet hash", String(hash.prefix(16)))) }
    settings.append(("Version", "sdtune"))
    let negative = request.negativePrompt.map { "\nNegative prompt: \($0)" } ?? ""
    let line = settings.map { "\($0.name): \($0.value)" }.joined(separator: ", ")
    var fields = Dictionary(uniqueKeysWithValues: settings.map { ($0.name, $0.value) })
    fields["Prompt"] = request.prompt
    fields["Negative prompt"] = request.negativePrompt
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = (try? encoder.encode(fields)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    return [("parameters", request.prompt + negative + "\n" + line), ("sdtune", json)]
  }
}
