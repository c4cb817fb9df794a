package import Checkpoints
package import Tensors

/// Pictures as latents, with the token numbers of their captions.
///
/// Read from an HDF5 file: a group for each split with `latents` `[pictures, channels, height, width]`, already scaled
/// by the VAE's factor, and `input_ids` `[pictures, tokens]`; beside them `empty_input_ids` `[tokens]`. For SDXL's second
/// text encoder `input_ids_2` and `empty_input_ids_2`.
package struct LatentDataset: Sendable {
  package enum Split: String, Sendable { case train, validation = "val" }

  /// Token numbers as one text encoder takes them.
  package struct Text: Sendable {
    /// Of each picture's caption.
    package let captions: [[Int]]
    /// Of the empty prompt.
    package let empty: [Int]
  }

  /// `[pictures, channels, height, width]`
  package let latents: Tensor
  /// One for each text encoder that the file has tokens for: SDXL's models have two.
  package let texts: [Text]

  package var captions: [[Int]] { texts[0].captions }
  package var emptyCaption: [Int] { texts[0].empty }
  package var count: Int { captions.count }

  /// The first pictures with other latents.
  init(_ dataset: LatentDataset, latents: Tensor) {
    self.latents = latents
    texts = dataset.texts.map { Text(captions: Array($0.captions.prefix(latents.shape[0])), empty: $0.empty) }
  }

  /// - Parameter limit: at most so many pictures, from the first on; 0 for all.
  package init(path: String, split: Split, limit: Int = 0) throws(CheckpointError) {
    let file = try HDF5File(reading: path)
    let images = try file.floats("\(split.rawValue)/latents")
    guard images.shape.count == 4, images.shape.allSatisfy({ $0 > 0 }) else {
      throw .malformedItem(
        file: path, item: "\(split.rawValue)/latents", expected: "[pictures, channels, height, width]",
        found: "\(images.shape)")
    }
    let count = limit > 0 ? min(limit, images.shape[0]) : images.shape[0]
    var texts: [Text] = []
    for name in ["input_ids", "input_ids_2"] {
      let isThere = try file.shape(of: "\(split.rawValue)/\(name)") != nil
      guard texts.isEmpty || isThere else { continue }
      texts.append(try Self.text(name, file, path, split, pictures: images.shape[0], count: count))
    }
    self.texts = texts
    latents = Tensor(Shape(images.shape), images.buffer).rows(Array(0..<count))
  }

  /// What both splits of a file take in a run beside their tokens, in bytes: latents, and states of the text.
  ///
  /// - Parameter features: of the text's states.
  package static func bytes(path: String, features: Int) throws(CheckpointError) -> Int {
    let file = try HDF5File(reading: path)
    let tokens = try file.shape(of: "empty_input_ids")?.first ?? 0
    // Extents may say anything until the data is read.
    var bytes = 0.0
    for split in [Split.train, .validation] {
      let shape = try file.shape(of: "\(split.rawValue)/latents") ?? []
      bytes += shape.reduce(4) { $0 * Double($1) }
      bytes += Double(TextStates.bytes(prompts: shape.first ?? 0, tokens: tokens, features: features) ?? 0)
    }
    return Int(min(bytes, 0x1p60))
  }

  /// The tokens of the first `count` captions.
  private static func text(
    _ name: String, _ file: borrowing HDF5File, _ path: String, _ split: Split, pictures: Int, count: Int
  ) throws(CheckpointError) -> Text {
    let tokens = try file.integers("\(split.rawValue)/\(name)")
    guard tokens.shape.count == 2, tokens.shape[0] == pictures, tokens.shape[1] > 0 else {
      throw .malformedItem(
        file: path, item: "\(split.rawValue)/\(name)", expected: "[\(pictures) pictures, tokens]",
        found: "\(tokens.shape)")
    }
    let width = tokens.shape[1]
    let empty = try file.integers("empty_\(name)").values
    guard empty.count == width else {
      throw .malformedItem(
        file: path, item: "empty_\(name)", expected: "\(width) tokens", found: "\(empty.count)")
    }
    return Text(
      captions: (0..<count).map { Array(tokens.values[$0 * width..<($0 + 1) * width]) }, empty: empty)
  }
}
