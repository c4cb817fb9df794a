internal import Checkpoints
package import Files
internal import Tensors

extension LatentDataset {
  /// Latents of the first format (`docs/data-format.md`): for each split `latents` `[pictures, channels, height, width]`,
  /// already scaled by the VAE's factor, and `input_ids` `[pictures, tokens]`; beside them `empty_input_ids`. For SDXL's
  /// second text encoder `input_ids_2` and `empty_input_ids_2`.
  ///
  /// - Parameter limit: at most so many pictures, from the first on; 0 for all.
  package init(path: String, split: Split, limit: Int = 0) throws(FileError) {
    let file = try HDF5File(reading: path)
    let shape = try Self.shape(file, split)
    let count = limit > 0 ? min(limit, shape[0]) : shape[0]
    var texts: [(numbers: [Int], empty: [Int])] = []
    for name in ["input_ids", "input_ids_2"] {
      let isThere = try file.shape(of: "\(split.rawValue)/\(name)") != nil
      guard texts.isEmpty || isThere else { continue }
      texts.append(try Self.text(name, file, split, pictures: shape[0], count: count))
    }
    let axes = Array(shape.dropFirst())
    self.init(
      [Size(shape: axes, count: count)], Captions(texts),
      try Self.rows(file, "\(split.rawValue)/latents", shape), name: path, magnification: 8)
  }

  /// Latents that are kept in memory, in bytes: writers of the first format cut them into chunks of many pictures, each of
  /// which would be read again for every one of them.
  private static let mostKept = 1 << 28

  private static func rows(
    _ file: borrowing HDF5File, _ dataset: String, _ shape: [Int]
  ) throws(FileError) -> any LatentRows {
    guard shape.reduce(4.0, { $0 * Double($1) }) <= Double(mostKept) else {
      return try LatentsOfFile(file.path, dataset, rowCount: shape.dropFirst().reduce(1, *))
    }
    let latents = try file.floats(dataset)
    return LatentsInMemory(latents: Tensor(Shape(latents.shape), latents.buffer))
  }

  /// `[pictures, channels, height, width]` of a split.
  private static func shape(_ file: borrowing HDF5File, _ split: Split) throws(FileError) -> [Int] {
    let name = "\(split.rawValue)/latents"
    guard let shape = try file.shape(of: name) else { throw .missing(file: file.path, item: "dataset \(name)") }
    guard shape.count == 4, (1...1 << 31).contains(shape[0]), shape[1...].allSatisfy({ (1...1 << 14).contains($0) })
    else {
      throw .malformedItem(
        file: file.path, item: name, expected: "[pictures, channels, height, width]", found: "\(shape)")
    }
    return shape
  }

  /// Pictures of a split.
  static func count(path: String, _ split: Split) throws(FileError) -> Int {
    try shape(HDF5File(reading: path), split)[0]
  }

  /// Height and width of the latents and tokens of a caption.
  package static func geometry(path: String) throws(FileError) -> (height: Int, width: Int, tokens: Int) {
    let file = try HDF5File(reading: path)
    let shape = try shape(file, .validation)
    return (shape[2], shape[3], try file.shape(of: "empty_input_ids")?.first ?? 0)
  }

  /// The tokens of the first `count` captions.
  private static func text(
    _ name: String, _ file: borrowing HDF5File, _ split: Split, pictures: Int, count: Int
  ) throws(FileError) -> (numbers: [Int], empty: [Int]) {
    let item = "\(split.rawValue)/\(name)"
    let tokens = try file.integers(item)
    guard tokens.shape.count == 2, tokens.shape[0] == pictures, tokens.shape[1] > 0 else {
      throw .malformedItem(
        file: file.path, item: item, expected: "[\(pictures) pictures, tokens]", found: "\(tokens.shape)")
    }
    let width = tokens.shape[1]
    let empty = try file.integers("empty_\(name)").values
    guard empty.count == width else {
      throw .malformedItem(
        file: file.path, item: "empty_\(name)", expected: "\(width) tokens", found: "\(empty.count)")
    }
    return (Array(tokens.values[..<(count * width)]), empty)
  }
}
