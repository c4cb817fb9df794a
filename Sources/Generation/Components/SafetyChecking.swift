internal import MILRuntime
internal import Pictures
internal import StableDiffusion
internal import Tensors

/// A model's safety checker, native or a package.
struct SafetyChecking: Sendable {
  private enum Engine: Sendable {
    case native(SafetyChecker)
    case package(PackageModel, side: Int, images: [Int])
  }

  private let engine: Engine
  private let compatibility: GenerationRequest.Compatibility

  init(_ place: ModelPlace, _ compatibility: GenerationRequest.Compatibility) throws {
    self.compatibility = compatibility
    switch place {
    case .component(let component): engine = .native(try component.safetyChecker())
    case .package(let path):
      let model = try PackageModel(path: path)
      engine = .package(
        model, side: try model.shape(of: "clip_input", rank: 4)[2],
        images: try model.shape(of: "images", rank: 4))
    }
  }

  /// Whether a picture comes too close to one of the concepts.
  func isFlagged(_ picture: Picture) throws -> Bool {
    switch engine {
    case .native(let checker):
      let input = normalized(picture, side: checker.side)
      return Execution.withoutGradients { !checker.concepts(in: input).isEmpty }
    case .package(let model, let side, let images):
      let outputs = try model.results(inputs: [
        "clip_input": normalized(picture, side: side).channelsFirst(),
        // The package blackens them itself; only its judgement is wanted here.
        "images": Tensor(repeating: 0, shape: Shape(images)),
        "adjustment": Tensor(repeating: 0, shape: [1]),
      ])
      guard let flags = outputs["has_nsfw_concepts"] else {
        throw GenerationError.package(
          path: model.path, expected: "an output 'has_nsfw_concepts'",
          found: outputs.keys.sorted().joined(separator: ", "))
      }
      return flags.elements.contains { $0 > 0 }
    }
  }

  /// What CLIP's vision half makes of a picture; nil of a package, which keeps that to itself. `[projection]`
  func embedding(_ picture: Picture) -> [Float]? {
    guard case .native(let checker) = engine else { return nil }
    return Execution.withoutGradients { checker.embedding(normalized(picture, side: checker.side)).elements }
  }

  /// The picture as CLIP takes it, `[1, side, side, 3]`.
  private func normalized(_ picture: Picture, side: Int) -> Tensor {
    let small: Picture
    let (means, deviations): ([Float], [Float])
    switch compatibility {
    case .diffusers:
      small = picture.fitted(width: side, height: side, .bicubic)
      means = [0.48145466, 0.4578275, 0.40821073]
      deviations = [0.26862954, 0.26130258, 0.27577711]
    case .apple:
      // Their package squashes the picture and takes ImageNet's statistics instead of CLIP's.
      small = picture.resized(width: side, height: side, .bicubic)
      means = [0.485, 0.456, 0.406]
      deviations = [0.229, 0.224, 0.225]
    }
    let values = small.bytes.enumerated().map { index, byte -> Float in
      (Float(byte) / 255 - means[index % 3]) / deviations[index % 3]
    }
    return Tensor([1, side, side, 3], values)
  }
}
