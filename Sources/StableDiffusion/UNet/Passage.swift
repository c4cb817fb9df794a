internal import Tensors

/// The images that a UNet's parts hand on to one another.
struct Passage {
  /// What was computed: what goes down and is kept for the way up, the middle, then each block on the way up.
  private(set) var images: [Tensor] = []
  /// What is handed on instead, in the same order: every part then sees what another network's parts made.
  private let replacements: [Tensor]?

  init(following replacements: [Tensor]? = nil) { self.replacements = replacements }

  mutating func callAsFunction(_ image: Tensor) -> Tensor {
    images.append(image)
    guard let replacements else { return image }
    precondition(
      replacements[images.count - 1].shape == image.shape,
      "UNet: \(image.shape) replaced by \(replacements[images.count - 1].shape)")
    return replacements[images.count - 1]
  }
}
