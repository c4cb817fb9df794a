package import Checkpoints
internal import Kernels
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

  /// - Parameter limit: at most so many pictures, from the first on; 0 for all.
  package init(path: String, split: Split, limit: Int = 0) throws(CheckpointError) {
    let file = try HDF5File(path: path)
    let (images, tokens) = ("\(split.rawValue)/latents", "\(split.rawValue)/input_ids")
    let shape = try file.shape(of: images) ?? []
    let width = try file.shape(of: tokens)?.last ?? 0
    let numbers = try file.integers(tokens)
    guard shape.count == 4, shape.allSatisfy({ $0 > 0 }), width > 0,
      numbers.count == shape[0] * width
    else {
      throw .malformedItem(
        file: path, item: "group '\(split.rawValue)'",
        expected: "latents [pictures, channels, height, width] and input_ids [pictures, tokens]",
        found: "\(shape) and \(numbers.count) tokens")
    }
    let count = limit > 0 ? min(limit, shape[0]) : shape[0]
    captions = (0..<count).map { Array(numbers[$0 * width..<($0 + 1) * width]) }
    latents = Tensor(Shape(shape), try file.floats(images)).rows(Array(0..<count))
    emptyCaption = try file.integers("empty_input_ids")
    guard emptyCaption.count == width else {
      throw .malformedItem(
        file: path, item: "empty_input_ids", expected: "\(width) tokens",
        found: "\(emptyCaption.count)")
    }
  }
}

extension Tensor {
  /// Samples by number along the first axis.
  package func rows(_ numbers: [Int]) -> Tensor {
    let width = shape.count / max(1, shape[0])
    let y = Buffer(uninitialized: numbers.count * width)
    Shaping.gather(buffer, rows: numbers, width: width, into: y)
    return Tensor(shape.replacing(0, with: numbers.count), y)
  }
}
