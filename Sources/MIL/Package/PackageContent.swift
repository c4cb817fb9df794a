internal import Foundation
internal import Kernels
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
  ///
  /// - Parameter isQuick: whether a compiled model's program, which would have to be encoded for it, is passed over.
  package func checkContent(isQuick: Bool = false) throws(MILError) {
    guard try (isQuick && isCompiled ? hasWrittenWeights() : isAsWritten()) == false || hasDamagedKey else { return }
    throw .file(
      path: path,
      reason:
        "its program or weights are not what sdtune wrote: it is damaged, copy it again; if it was edited on purpose, "
        + "remove \(Metadata.contentKey) from its metadata")
  }

  /// The digest of the program if the file is as our writer left it: encoding three megabytes anew takes longer than all
  /// else that loading does, so only the description is, without the digest in it; nil of other files.
  private func unchangedProgramDigest() -> String? {
    guard !isCompiled, let file = try? MappedFile(modelFile) else { return nil }
    let bytes = file.data(0..<file.count)
    // Specification version and description are the first two fields.
    var place = 0
    func number() -> Int? {
      var (number, shift) = (0, 0)
      while place < bytes.count, shift < 35 {
        number |= Int(bytes[place] & 0x7F) << shift
        (place, shift) = (place + 1, shift + 7)
        if bytes[place - 1] < 0x80 { return number }
      }
      return nil
    }
    guard number() == 0x08, number() != nil, case let tag = place, number() == 0x12, let count = number(),
      count <= bytes.count - place
    else { return nil }
    var description = interface
    description.metadata.userDefined[Metadata.contentKey] = nil
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    guard let body: Data = try? description.serializedBytes(options: options) else { return nil }
    var whole = Data(bytes[..<tag]) + [0x12]
    var rest = body.count
    while rest >= 0x80 {
      whole.append(UInt8(rest & 0x7F | 0x80))
      rest >>= 7
    }
    whole.append(UInt8(rest))
    return ContentDigest.text(ContentDigest.of(whole + body + bytes[(place + count)...]))
  }

  /// Whether the digest is there under a name with one wrong letter.
  private var hasDamagedKey: Bool {
    let name = Metadata.contentKey.utf8
    return model.metadata.userDefined.keys.contains { key in
      key.utf8.count == name.count && zip(key.utf8, name).count(where: { $0 != $1 }) == 1
    }
  }

  /// Whether the weights are; nil if our writer did not write them.
  private func hasWrittenWeights() throws(MILError) -> Bool? {
    guard let written = model.metadata.userDefined[Metadata.contentKey], written.count > 16 else { return nil }
    return try ContentDigest.ofFile(modelFolder + "/weights/weight.bin") == written.dropFirst(16)
  }

  /// Whether program and weights are byte for byte what our writer wrote; nil if it did not write them.
  package func isAsWritten() throws(MILError) -> Bool? {
    guard let written = model.metadata.userDefined[Metadata.contentKey] else { return nil }
    let weights = modelFolder + "/weights/weight.bin"
    let hasWeights = FileManager.default.fileExists(atPath: weights)
    if let program = unchangedProgramDigest() {
      let digest = try program + (hasWeights ? ContentDigest.ofFile(weights) : "")
      if digest == written { return true }
    }
    return try model.contentDigest(weights: hasWeights ? weights : nil) == written
  }
}
