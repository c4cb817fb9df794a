internal import Foundation
internal import SwiftProtobuf

/// `coremldata.bin`: what kind of model a compiled folder holds, and what an application is told of it.
struct CompiledDescription {
  static let fileName = "coremldata.bin"

  let specificationVersion: Int32
  let description: WireModelDescription
  /// The number at byte 4, and what stands behind the description.
  private var interfaceVersion: UInt32
  private var trailer: Data

  private static let mlProgram: UInt32 = 502
  private static let kindsByNumber: [UInt32: String] = [
    202: "a compiled pipeline", 500: "a compiled neural network, the older form",
  ]
  private static let target = Data("generic".utf8)
  private static let versionAt = 0x2B, lengthAt = 0x4B, descriptionAt = 0x53

  init(specificationVersion: Int32, description: WireModelDescription) {
    self.specificationVersion = specificationVersion
    self.description = description
    // Before specification 8 the interface has a number of its own.
    interfaceVersion = specificationVersion >= 8 ? UInt32(clamping: specificationVersion) : 5
    trailer = Data()
  }

  /// - Parameter package: path of the folder, for errors.
  init(_ data: Data, package: String) throws(MILError) {
    func refuse(_ expected: String, _ found: String) -> MILError {
      .model(package: "\(package)/\(Self.fileName)", expected: expected, found: found)
    }
    guard data.count >= Self.descriptionAt else {
      throw refuse("at least \(Self.descriptionAt) bytes", "\(data.count)")
    }
    let kind = data.littleEndian(UInt32.self, at: 0)
    guard kind == Self.mlProgram else {
      throw refuse("a compiled ML Program (502)", Self.kindsByNumber[kind] ?? "number \(kind)")
    }
    let version = data.littleEndian(UInt64.self, at: Self.versionAt)
    let length = data.littleEndian(UInt64.self, at: Self.lengthAt)
    guard (1...1000).contains(version) else {
      throw refuse("a specification version at \(Self.versionAt)", "\(version)")
    }
    guard length <= UInt64(data.count - Self.descriptionAt) else {
      throw refuse("a description of \(length) bytes", "\(data.count - Self.descriptionAt)")
    }
    specificationVersion = Int32(version)
    interfaceVersion = data.littleEndian(UInt32.self, at: 4)
    let start = data.startIndex + Self.descriptionAt
    trailer = Data(data[(start + Int(length))...])
    do {
      description = try WireModelDescription(serializedBytes: Data(data[start..<start + Int(length)]))
    } catch {
      throw refuse("a description of the model", "\(length) bytes that do not decode")
    }
  }

  /// What is read and yet not as Apple's compiler writes it.
  ///
  /// - Parameter functions: how many the program has.
  func doubts(functions: Int) -> [String] {
    let expected = CompiledDescription(specificationVersion: specificationVersion, description: description)
    var doubts: [String] = []
    if interfaceVersion != expected.interfaceVersion {
      doubts.append("\(Self.fileName) has \(interfaceVersion) at byte 4, expected \(expected.interfaceVersion)")
    }
    if trailer != Self.trailer(functions: functions) {
      doubts.append("\(Self.fileName) does not end with 16 bytes for each of \(functions) functions")
    }
    return doubts
  }

  private static func trailer(functions: Int) -> Data {
    var data = Data()
    for _ in 0..<functions {
      data.append(littleEndian: mlProgram)
      data.append(Data(count: 12))
    }
    return data
  }

  /// - Parameter functions: how many the program has.
  func encoded(functions: Int) throws(MILError) -> Data {
    var description = description
    // It is there even if it says nothing.
    description.metadata = description.metadata
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    let body: Data
    do { body = try description.serializedBytes(options: options) } catch {
      throw .model(package: "description", expected: "an interface of at most 2 GiB", found: "\(error)")
    }
    var data = Data()
    data.append(littleEndian: Self.mlProgram)
    data.append(littleEndian: interfaceVersion)
    data.append(Data(count: 20))
    data.append(littleEndian: UInt64(Self.target.count))
    data.append(Self.target)
    data.append(littleEndian: UInt64(specificationVersion))
    data.append(Data(count: Self.lengthAt - data.count))
    data.append(littleEndian: UInt64(body.count))
    data.append(body)
    return data + Self.trailer(functions: functions)
  }
}
