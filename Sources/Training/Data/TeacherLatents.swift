internal import Checkpoints
internal import Foundation
internal import StableDiffusion
internal import Tensors

/// Latents that the full-precision model makes of prompts alone, for tuning without pictures.
struct TeacherLatents {
  let teacher: UNet
  /// Without fresh noise.
  let sampler: any Sampler
  let states: TextStates
  let seed: UInt64

  private static let batch = 16

  /// Pictures `0..<count`, each of its own prompt: `[count, channels, height, width]`.
  ///
  /// Without guidance; a function of seed and model, so that a resumed run has the same ones. What `kept` holds already
  /// is not made again.
  ///
  /// - Throws: ``TrainingError/stopped(what:)`` when asked to stop; what is done by then is kept.
  func callAsFunction(
    count: Int, shape: Shape, kept: KeptLatents?, isInterrupted: () -> Bool, progress: (Int) -> Void
  ) throws -> Tensor {
    var parts: [Tensor] = []
    for start in stride(from: 0, to: count, by: Self.batch) {
      let prompts = Array(start..<min(count, start + Self.batch))
      let axes = [prompts.count] + shape.axes.dropFirst()
      if let part = kept?.read(start, axes) {
        parts.append(part)
      } else {
        if isInterrupted() {
          throw TrainingError.stopped(what: "the teacher's latents; what is done is kept, the same command goes on")
        }
        let part = Execution.withoutGradients { sample(prompts, axes) }
        try kept?.write(part, start)
        parts.append(part)
      }
      progress(start + prompts.count)
    }
    return Tensor.stacked(parts)
  }

  private func sample(_ prompts: [Int], _ axes: [Int]) -> Tensor {
    var random = CounterGenerator(seed: seed, .teacherLatents, step: prompts[0])
    let shape = Shape(axes)
    var latents = Tensor(shape, random.normals(shape.count)).channelsLast()
    let text = states[prompts.map { $0 }]
    var sampler = sampler
    for (position, number) in sampler.timesteps.enumerated() {
      let timestep = Tensor([prompts.count], [Float](repeating: number, count: prompts.count))
      let prediction = teacher(
        sampler.modelInput(latents, at: position), timestep: timestep, text)
      latents =
        sampler.step(prediction, at: position, from: latents) {
          preconditionFailure("a sampler without fresh noise asks for some")
        }.sample
    }
    return latents.channelsFirst()
  }
}

/// Latents in files of a batch each, which tell what they were made of.
struct KeptLatents {
  private let folder: String
  private let identity: String

  /// - Parameters:
  ///   - model: files of the teacher; others of their size and date count as the same.
  ///   - settings: everything else that decides what the latents are.
  init(_ folder: String, model: String, settings: String) throws {
    self.folder = folder
    let files = FileManager.default
    try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let facts = try files.contentsOfDirectory(atPath: model).sorted().map { name in
      let attributes = try files.attributesOfItem(atPath: model + "/" + name)
      let changed = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
      return "\(name) \(attributes[.size] ?? 0) \(changed)"
    }
    identity = ([settings] + facts).joined(separator: "; ")
  }

  private func path(_ start: Int) -> String { folder + String(format: "/latents-%06d.safetensors", start) }

  /// Nil if there are none, or others.
  func read(_ start: Int, _ axes: [Int]) -> Tensor? {
    guard let file = try? SafetensorsFile(path: path(start)), file.metadata["identity"] == identity,
      file.shape(of: "latents") == axes, let latents = try? file.floats("latents")
    else { return nil }
    return Tensor(Shape(axes), latents)
  }

  func write(_ latents: Tensor, _ start: Int) throws {
    try SafetensorsWriter.write(
      tensors: [("latents", latents.shape.axes, latents.buffer)], metadata: ["identity": identity], to: path(start))
  }
}
