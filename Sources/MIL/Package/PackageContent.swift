internal import Foundation
internal import SwiftProtobuf

extension Metadata {
  /// Where the name of the model's component lies.
  package static let componentKey = "sdtune.component"
  /// Where a package's digest of its own contents lies.
  static let contentKey = "sdtune.content"
}

extension Model {
  /// The bytes of `model.mlmodel`; equal models give equal bytes.
  func encoded() throws -> Data {
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    return try WireModel(self).serializedBytes(options: options)
  }

  /// Of everything but the digest itself.
  ///
  /// - Parameter weights: the weight file, if there is one.
  func contentDigest(weights: String?) throws -> String {
    var model = self
    model.metadata.userDefined[Metadata.contentKey] = nil
    // Whoever compiles adds a note of its own.
    model.attributes = [:]
    let program = ContentDigest.text(ContentDigest.of(try model.encoded()))
    return try program + (weights.map { try ContentDigest.ofFile($0) } ?? "")
  }
}

extension ModelPackage {
  /// Whether program and weights are byte for byte what our writer wrote; nil if it did not write them.
  package func isAsWritten() throws -> Bool? {
    guard let written = model.metadata.userDefined[Metadata.contentKey] else { return nil }
    let weights = modelFolder + "/weights/weight.bin"
    let hasWeights = FileManager.default.fileExists(atPath: weights)
    return try model.contentDigest(weights: hasWeights ? weights : nil) == written
  }
}
