internal import Kernels
internal import StableDiffusion
internal import Tensors
internal import WeightFiles

extension RunTarget {
  /// `clip_input`, `images` and `adjustment` to `filtered_images`, `has_nsfw_concepts` and `concept_scores`, as in
  /// packages.
  func safetyChecker(_ component: ModelComponent, _ file: SafetensorsFile) throws -> Results {
    let checker = try component.safetyChecker()
    let picture = try tensor("clip_input", file)
    let images = try tensor("images", file)
    let adjustment = try tensor("adjustment", file)
    let wanted: Shape = [1, 3, checker.side, checker.side]
    try expect(picture.shape == wanted, "clip_input", "\(wanted)", picture.shape)
    try expect(
      images.shape.rank == 4 && images.shape[0] == 1 && images.shape[3] == 3, "images",
      "[1, height, width, 3]", images.shape)
    try expect(adjustment.shape.count == 1, "adjustment", "[1]", adjustment.shape)
    let embedding = Execution.withoutGradients { checker.embedding(picture.channelsLast()) }
    let scores = checker.scores(embedding.elements, adjustment: Double(adjustment.elements[0]))
    let isFlagged = scores.contains { $0 > 0 }
    return [
      ("filtered_images", isFlagged ? Tensor(repeating: 0, shape: images.shape) : images),
      ("has_nsfw_concepts", Tensor(repeating: isFlagged ? 1 : 0, shape: [1, 1, 1, 1])),
      ("concept_scores", Tensor([1, scores.count], scores.map { Float($0) })),
    ]
  }
}
