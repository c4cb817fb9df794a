internal import Files

/// A picture of a set with what the set says of it.
package struct PictureSample: Sendable, Equatable {
  package enum Split: String, Sendable { case train, validation = "val", test }

  /// The path inside the set, through archives: `00000.tar/000000001.jpg`.
  package let file: String
  /// The texts that may describe it; none if the set has no caption for it.
  package let captions: [String]
  package let split: Split
  /// How often it counts; kohya's `10_name` folders.
  package let repeats: Int
  /// Width and height before the set's maker resized it, where the set says so (img2dataset).
  package let originalSize: [Int]?

  init(
    file: String, captions: [String], split: Split = .train, repeats: Int = 1, originalSize: [Int]? = nil
  ) {
    self.file = file
    self.captions = captions
    self.split = split
    self.repeats = repeats
    self.originalSize = originalSize
  }
}

/// A file that looks like a picture and cannot be used.
package struct UnusablePicture: Error, Equatable, Codable, CustomStringConvertible {
  package let file: String
  package let reason: String

  package init(file: String, reason: String) {
    self.file = file
    self.reason = reason
  }

  package var description: String { "\(file): \(reason)".onOneLine }
}
