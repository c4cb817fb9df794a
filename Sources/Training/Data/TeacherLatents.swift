internal import Digests
internal import Foundation
internal import Models
internal import Recipes
internal import StableDiffusion
internal import StrictJSON
internal import Tensors
internal import WeightFiles

/// Latents that the full-precision model makes of prompts alone, for tuning without pictures.
struct TeacherLatents {
  private let model: TuningModel
  /// Without fresh noise.
  private let sampler: any Sampler
  private let encoders: [TextEncoder]
  private let seed: UInt64
  private let steps: Int

  private static let batch = 16

  init(_ recipe: Recipe, _ model: TuningModel, _ encoders: [TextEncoder]) throws {
    self.model = model
    self.encoders = encoders
    seed = recipe.seed
    steps = recipe.training.teacherSteps
    sampler = try SamplerConfiguration(model.source.requiredScheduler(), method: .ddim).sampler(steps: steps)
  }

  /// Pictures `0..<count`, each of its own prompt: `[count, channels, height, width]`.
  ///
  /// Without guidance; a function of seed and model, so that a resumed run has the same ones. What was kept is not made
  /// again.
  ///
  /// - Parameters:
  ///   - split: tells the prompts of one split from those of another.
  ///   - shape: `[channels, height, width]`
  ///   - kept: the folder that keeps them for the next time; nil to keep nothing.
  /// - Throws: ``TrainingError/stopped(what:)`` when asked to stop; what is done by then is kept.
  func callAsFunction(
    _ captions: Captions, _ split: String, count: Int, shape: [Int], kept: String?, isInterrupted: () -> Bool,
    progress: PicturePreparation.Progress
  ) throws -> Tensor {
    let states = TextStates(encoders, captions, for: model.unet.configuration)
    var store = try kept.map { try LatentParts($0, identity: identity(captions, shape)) }
    var parts: [Tensor] = []
    for start in stride(from: 0, to: count, by: Self.batch) {
      let key = "\(split) \(start)"
      let axes = [min(count - start, Self.batch)] + shape
      if let part = try store?.read(key, "latents"), part.shape.axes == axes {
        parts.append(part)
      } else {
        if isInterrupted() {
          throw TrainingError.stopped(what: "the teacher's latents; what is done is kept, the same command goes on")
        }
        let part = Execution.withoutGradients { sample(states, start, axes) }
        try store?.write([(key, [("latents", part)])])
        parts.append(part)
      }
      progress("the teacher's latents", start + axes[0], count)
    }
    return Tensor.stacked(parts)
  }

  /// Everything that decides what the latents are: files of the teacher's size and date count as the same.
  private func identity(_ captions: Captions, _ shape: [Int]) throws -> String {
    let files = FileManager.default
    let unet = try model.source.component(.unet)
    let facts =
      try unet.weights.files.sorted().map { path in
        let attributes = try files.attributesOfItem(atPath: URL(filePath: path).resolvingSymlinksInPath().path)
        let changed = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        return "\(URL(filePath: path).lastPathComponent) \(attributes[.size] ?? 0) \(changed)"
      } + unet.weights.notes + [unet.configuration.json.text]
    var prompts = SHA256()
    for tokens in captions.tokens((0..<captions.count).map { .caption($0) }) {
      for caption in tokens { caption.withUnsafeBytes { prompts.update($0) } }
    }
    return (["seed \(seed), \(steps) steps, \(shape), prompts \(prompts.finish())"] + facts).joined(separator: "; ")
  }

  private func sample(_ states: TextStates, _ start: Int, _ axes: [Int]) -> Tensor {
    var random = CounterGenerator(seed: seed, .teacherLatents, step: start)
    let shape = Shape(axes)
    var latents = Tensor(shape, random.normals(shape.count)).channelsLast()
    let text = states[(start..<start + axes[0]).map { .caption($0) }]
    var sampler = sampler
    for (position, number) in sampler.timesteps.enumerated() {
      let timestep = Tensor([axes[0]], [Float](repeating: number, count: axes[0]))
      let prediction = model.unet(sampler.modelInput(latents, at: position), timestep: timestep, text)
      latents =
        sampler.step(prediction, at: position, from: latents) {
          preconditionFailure("a sampler without fresh noise asks for some")
        }.sample
    }
    return latents.channelsFirst()
  }
}
