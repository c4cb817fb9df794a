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
  func encoded() throws(MILError) -> Data {
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    let message = WireModel(self)
    do { return try message.serializedBytes(options: options) } catch {
      throw .model(package: "model", expected: "a program of at most 2 GiB", found: "\(error)")
    }
  }

  /// Of everything but the digest itself.
  ///
  /// - Parameter weights: the weight file, if there is one.
  func contentDigest(weights: String?) throws(MILError) -> String {
    var model = self
    model.metadata.userDefined[Metadata.contentKey] = nil
    // Whoever compiles adds a note of its own.
    model.attributes = [:]
    let program = ContentDigest.text(ContentDigest.of(try model.encoded()))
    guard let weights else { return program }
    return program + (try ContentDigest.ofFile(weights))
  }
}

extension ModelPackage {
  /// Holds program and weights against the digest that our writer left; nothing happens where there is none.
  package func checkContent() throws(MILError) {
    guard try isAsWritten() == false || hasDamagedKey else { return }
    throw .file(
      path: path,
      reason:
        "its program or weights are not what sdtune wrote: it is damaged, copy it again; if it was edited on purpose, "
        + "remove \(Metadata.contentKey) from its metadata")
  }

  /// Whether the digest is there under a name with one wrong letter.
  private var hasDamagedKey: Bool {
    let name = Metadata.contentKey.utf8
    return model.metadata.userDefined.keys.contains { key in
      key.utf8.count == name.count && zip(key.utf8, name).count(where: { $0 != $1 }) == 1
    }
  }

  /// Whether program and weights are byte for byte what our writer wrote; nil if it did not write them.
  package func isAsWritten() throws(MILError) -> Bool? {
    guard let written = model.metadata.userDefined[Metadata.contentKey] else { return nil }
    let weights = modelFolder + "/weights/weight.bin"
    let hasWeights = FileManager.default.fileExists(atPath: weights)
    return try model.contentDigest(weights: hasWeights ? weights : nil) == written
  }
}
