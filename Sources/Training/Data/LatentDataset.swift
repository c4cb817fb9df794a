package import Checkpoints
package import Tensors

/// Pictures as latents, with the token numbers of their captions.
///
/// Read from an HDF5 file: a group for each split with `latents` `[pictures, channels, height, width]`, already scaled
/// by the VAE's factor, and `input_ids` `[pictures, tokens]`; beside them `empty_input_ids` `[tokens]`.
package struct LatentDataset: Sendable {
  package enum Split: String, Sendable { case train, validation = "val" }

  /// `[pictures, channels, height, width]`
  package let latents: Tensor
  /// Token numbers of each caption.
  package let captions: [[Int]]
  /// Token numbers of the empty prompt.
  package let emptyCaption: [Int]

  package var count: Int { captions.count }

  /// The first pictures with other latents.
  init(_ dataset: LatentDataset, latents: Tensor) {
    self.latents = latents
    captions = Array(dataset.captions.prefix(latents.shape[0]))
    emptyCaption = dataset.emptyCaption
  }

  /// - Parameter limit: at most so many pictures, from the first on; 0 for all.
  package init(path: String, split: Split, limit: Int = 0) throws(CheckpointError) {
    let file = try HDF5File(reading: path)
    let images = try file.floats("\(split.rawValue)/latents")
    let tokens = try file.integers("\(split.rawValue)/input_ids")
    guard images.shape.count == 4, tokens.shape.count == 2, images.shape[0] == tokens.shape[0],
      (images.shape + tokens.shape).allSatisfy({ $0 > 0 })
    else {
      throw .malformedItem(
        file: path, item: "group '\(split.rawValue)'",
        expected: "latents [pictures, channels, height, width] and input_ids [pictures, tokens]",
        found: "\(images.shape) and \(tokens.shape)")
    }
    let width = tokens.shape[1]
    let count = limit > 0 ? min(limit, images.shape[0]) : images.shape[0]
    captions = (0..<count).map { row -> [Int] in
      let start = row * width
      return Array(tokens.values[start..<start + width])
    }
    latents = Tensor(Shape(images.shape), images.buffer).rows(Array(0..<count))
    emptyCaption = try file.integers("empty_input_ids").values
    guard emptyCaption.count == width else {
      throw .malformedItem(
        file: path, item: "empty_input_ids", expected: "\(width) tokens",
        found: "\(emptyCaption.count)")
    }
  }
}
