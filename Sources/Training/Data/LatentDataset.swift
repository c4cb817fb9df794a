internal import Checkpoints
internal import Kernels
package import Tensors

/// Pictures as latents with their captions, of one size or several; latents are read when they are used.
package struct LatentDataset: Sendable {
  package enum Split: String, Sendable { case train, validation = "val" }

  /// A picture that may be drawn.
  package struct Sample: Sendable {
    /// Rows of latents that stand for it: crops and mirror images.
    let rows: Range<Int32>
    /// Captions that describe it; none for the empty prompt.
    let captions: Range<Int32>
    /// Width and height that the model is told, in pixels; zeros for those of the latents.
    let original: SIMD2<Int32>

    package init(rows: Range<Int32>, captions: Range<Int32>, original: SIMD2<Int32>) {
      (self.rows, self.captions, self.original) = (rows, captions, original)
    }
  }

  /// All samples of one size; a batch is of one.
  package struct Size: Sendable {
    /// `[channels, height, width]`
    let shape: [Int]
    let samples: [Sample]
    /// Numbers of samples, as often as they count.
    let drawn: [Int32]
    /// Left and top of the crop of each row; empty for none.
    let crops: [SIMD2<Int32>]

    package init(shape: [Int], samples: [Sample], drawn: [Int32], crops: [SIMD2<Int32>]) {
      (self.shape, self.samples, self.drawn, self.crops) = (shape, samples, drawn, crops)
    }

    /// Uncropped samples of a row and a caption each.
    init(shape: [Int], count: Int) {
      let numbers: [Int32] = (0..<Int32(count)).map { $0 }
      let samples = numbers.map { Sample(rows: $0..<$0 + 1, captions: $0..<$0 + 1, original: .zero) }
      self.init(shape: shape, samples: samples, drawn: numbers, crops: [])
    }
  }

  let sizes: [Size]
  package let captions: Captions
  private let rows: any LatentRows
  /// What messages call the data.
  let name: String
  /// Pixels of a latent pixel's side.
  let magnification: Int

  /// Samples, each counted once.
  package var count: Int { sizes.reduce(0) { $0 + $1.samples.count } }
  /// Samples as often as they count.
  package var drawnCount: Int { sizes.reduce(0) { $0 + $1.drawn.count } }
  /// `[channels, height, width]` of each size.
  package var shapes: [[Int]] { sizes.map(\.shape) }

  package init(_ sizes: [Size], _ captions: Captions, _ rows: any LatentRows, name: String, magnification: Int) {
    precondition(sizes.contains { !$0.drawn.isEmpty }, "\(name): no samples")
    self.sizes = sizes
    self.captions = captions
    self.rows = rows
    self.name = name
    self.magnification = magnification
  }

  /// The first samples of a dataset of one size with other latents.
  ///
  /// - Parameter latents: `[pictures, channels, height, width]`
  package init(_ dataset: LatentDataset, latents: Tensor) {
    self.init(
      [Size(shape: Array(latents.shape.axes.dropFirst()), count: latents.shape[0])],
      dataset.captions.prefix(latents.shape[0]), LatentsInMemory(latents: latents), name: dataset.name,
      magnification: dataset.magnification)
  }

  // MARK: Latents

  /// One row of latents for each sample.
  package struct Place: Sendable, Equatable {
    let size: Int
    let rows: [Int]

    package init(size: Int, rows: [Int]) { (self.size, self.rows) = (size, rows) }
  }

  /// Clean latents as the UNet takes them, `[rows, channels, height, width]`.
  ///
  /// - Parameter noise: draws standard normals where the latents are drawn from the VAE's posterior.
  /// - Throws: ``TrainingError/mismatch`` where they are no finite numbers.
  package func latents(_ place: Place, noise: (Int) -> [Float]) throws -> Tensor {
    let shape = sizes[place.size].shape
    let count = shape.reduce(1, *)
    let parts = try place.rows.map { try rows.row(place.size, $0) }
    let latents = Buffer(uninitialized: place.rows.count * count)
    let drawn = parts.contains { $0.deviation != nil } ? noise(place.rows.count * count) : []
    for (index, part) in parts.enumerated() {
      latents.copy(from: part.mean, 0..<count, at: index * count)
      guard let deviation = part.deviation else { continue }
      for element in 0..<count {
        latents.pointer[index * count + element] += deviation[element] * drawn[index * count + element]
      }
    }
    try check([latents], "\(place.rows.map(String.init).joined(separator: ", "))")
    return Tensor(Shape([place.rows.count] + shape), latents)
  }

  private func check(_ latents: [Buffer], _ rows: String) throws(TrainingError) {
    guard latents.allSatisfy({ Elementwise.sumOfSquares($0).isFinite }) else {
      throw .mismatch(
        what: "\(name): latents", expected: "finite numbers", found: "NaN or infinity among rows \(rows)")
    }
  }

  /// What SDXL is told of rows: height and width of the picture, top and left of the crop, height and width of the
  /// target, in pixels.
  func sizeConditions(_ place: Place, samples: [Int]) -> [[Float]] {
    let size = sizes[place.size]
    let target = [size.shape[1], size.shape[2]].map { Float($0 * magnification) }
    return zip(samples, place.rows).map { sample, row in
      let original = size.samples[sample].original
      let crop = size.crops.isEmpty ? .zero : size.crops[row]
      return (original == .zero ? target : [Float(original.y), Float(original.x)]) + [Float(crop.y), Float(crop.x)]
        + target
    }
  }

  /// The latents of all samples of a dataset of one size, as they are or by their means.
  ///
  /// - Parameter limit: the first so many; 0 for all.
  package func all(limit: Int = 0) throws -> Tensor {
    let samples = sizes[0].samples
    let count = limit > 0 ? min(limit, samples.count) : samples.count
    let parts = try samples[..<count].map { try rows.row(0, Int($0.rows.lowerBound)).mean }
    try check(parts, "of the first \(count)")
    return Tensor.stacked(parts.map { Tensor(Shape([1] + sizes[0].shape), $0) })
  }

  /// The prompts of all samples of a dataset of one size, each one's first caption.
  package func prompts(limit: Int = 0) -> [Captions.Prompt] {
    let samples = sizes[0].samples
    return samples[..<(limit > 0 ? min(limit, samples.count) : samples.count)].map { sample in
      sample.captions.isEmpty ? .empty : .caption(Int(sample.captions.lowerBound))
    }
  }
}
