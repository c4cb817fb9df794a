internal import Checkpoints
internal import Files
internal import Kernels
package import Pictures
package import Tensors

extension LatentCache {
  /// A sample as a person looks at it.
  package struct View: Sendable {
    package let file: String
    package let captions: [String]
    /// Of the picture as the model sees it, in pixels.
    package let size: PixelSize
    package let isValidation: Bool
    fileprivate let place: (size: Int, row: Int)
  }

  package var views: [View] {
    samples.map { sample in
      View(
        file: sample.file, captions: Array(captions[sample.captions]), size: pixels(sample.size),
        isValidation: sample.isValidation, place: (sample.size, sample.row))
    }
  }

  /// The mean of a sample's latents without the VAE's scaling factor, `[1, channels, height, width]`.
  package func mean(_ view: View) throws -> Tensor {
    Tensor(Shape([1] + sizes[view.place.size].shape), try row("mean", view.place.size, view.place.row))
  }

  private func pixels(_ size: Int) -> PixelSize {
    PixelSize(sizes[size].shape[2] * magnification, sizes[size].shape[1] * magnification)
  }

  /// Facts for people, in the order to show them.
  package var facts: [(name: String, value: String)] {
    let training = samples.count { !$0.isValidation }
    let bare = samples.count { $0.captions.isEmpty }
    let repeated = samples.reduce(0) { $0 + $1.repeats }
    let cut = if case .integer(let number) = attributes["cut_captions"] { number } else { 0 }
    return [
      ("pictures", "\(training) to train on, \(samples.count - training) to validate on, \(repeated) with repeats"),
      ("captions", "\(captions.count), \(bare) pictures without, \(cut) cut to the prompt's length"),
      ("encodings", "\(sizes.reduce(0) { $0 + $1.count }) of \(sizes.count) sizes, mean and deviation"),
    ] + sizes.indices.map { ("  \(pixels($0))", "\(sizes[$0].count) of latents \(sizes[$0].shape)") } + [
      ("resolution", attributes["resolution"].map { "\($0.text)" } ?? "unknown"),
      ("scaling", "(mean - \(number("shift_factor") ?? 0)) * \(number("scaling_factor") ?? 1)"),
      ("vae", text("vae") ?? "unknown"), ("unusable", text("unusable") ?? "[]"),
      ("pictures of", text("pictures") ?? "unknown"),
    ]
  }

  /// Reads every row; their checksums are compared by HDF5.
  ///
  /// - Throws: `FileError` for the first row that is damaged.
  package func verify() throws {
    for index in sizes.indices {
      for row in 0..<sizes[index].count {
        for array in ["mean", "deviation"] {
          guard Elementwise.sumOfSquares(try self.row(array, index, row)).isFinite else {
            throw FileError.malformedItem(
              file: path, item: "\(sizes[index].group)/\(array) row \(row)", expected: "finite numbers", found: "others"
            )
          }
        }
      }
    }
  }
}

extension AttributeValue {
  fileprivate var text: String {
    switch self {
    case .string(let text): text
    case .integer(let number): "\(number)"
    case .double(let number): "\(number)"
    }
  }
}
