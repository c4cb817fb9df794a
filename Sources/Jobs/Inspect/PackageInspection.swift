internal import Foundation
internal import MIL
internal import MILRuntime
internal import WeightFiles

/// One weight of a package, for people and as JSON.
package struct WeightFact: Codable, Sendable {
  package let name: String
  package let shape: [Int]
  package let form: String
  package let storedBytes: Int
  package let bitsPerWeight: Double
  /// Why it is stored as it is; nil if it is compressed.
  package let reason: String?

  init(_ weight: PackageWeights.Weight) {
    name = weight.name
    shape = weight.shape
    form = weight.form.description
    storedBytes = weight.storedBytes
    bitsPerWeight = Double(8 * weight.storedBytes) / Double(max(1, weight.count))
    reason = weight.form.isCompressed ? nil : Self.reason(weight)
  }

  private static func reason(_ weight: PackageWeights.Weight) -> String {
    if weight.shape.count(where: { $0 > 1 }) < 2 { return "one axis" }
    if weight.count <= 2048 { return "2048 elements or fewer" }
    if weight.readers.contains("gather") { return "a table that is looked up" }
    if weight.readers.allSatisfy({ ["add", "mul"].contains($0) }) {
      return "a mask or table that is added"
    }
    return "left as it is"
  }

  var line: String {
    let size = shape.map(String.init).joined(separator: "×")
    return String(
      format: "  %@  %@  %@, %.3f bits a weight, %d bytes", name as NSString, size as NSString,
      form as NSString, bitsPerWeight, storedBytes) + (reason.map { " (\($0))" } ?? "")
  }
}

/// What is in a package, every function checked.
enum PackageInspection {
  /// Everything that can be told, of packages that do not run here too.
  ///
  /// - Throws: if the package cannot be decoded.
  static func inspect(_ path: String) throws -> Inspection {
    let package = try ModelPackage(path)
    let audit = try package.auditWeights()
    let model = package.model
    let names = model.functions.keys.sorted()
    let interface = try PackageInterface(package)
    let weights = try PackageWeights(path: path).weights
    var facts = [
      Inspection.Fact(name: "specification", value: "\(model.specificationVersion)"),
      Inspection.Fact(name: "functions", value: names.joined(separator: ", ")),
      Inspection.Fact(name: "inputs", value: interface.inputs.map(\.text).joined(separator: ", ")),
      Inspection.Fact(name: "outputs", value: interface.outputs.map(\.text).joined(separator: ", ")),
      Inspection.Fact(name: "attention", value: attention(package)),
      Inspection.Fact(
        name: "weight file",
        value: "\(audit.bytes) bytes in \(audit.records) records"
          + (audit.unused > 0 ? ", \(audit.unused) records that nothing names" : "")),
    ]
    if let isAsWritten = try package.isAsWritten() {
      facts.append(
        Inspection.Fact(
          name: "contents", value: isAsWritten ? "as sdtune wrote them" : "changed since sdtune wrote them"))
    }
    if package.isCompiled {
      facts.insert(Inspection.Fact(name: "compiler", value: package.compiler ?? "not said"), at: 1)
    }
    do { _ = try verify(path) } catch { facts.append(Inspection.Fact(name: "does not run here", value: "\(error)")) }
    facts += sums(weights)
    let counts = interface.operationCounts
    facts.append(
      Inspection.Fact(
        name: "operations",
        value: counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")))
    facts += described(model.metadata)
    return Inspection(
      kind: kind(package), facts: facts, weights: weights.map(WeightFact.init), inputs: interface.inputs,
      outputs: interface.outputs)
  }

  private static func kind(_ package: ModelPackage) -> String {
    package.isCompiled ? "compiled Core ML model" : "Core ML package"
  }

  /// Whether a package runs here.
  ///
  /// - Returns: what it is.
  /// - Throws: an error that names the first fault.
  static func verify(_ path: String) throws -> String {
    let package = try ModelPackage(path)
    try package.checkContent()
    for name in package.model.functions.keys.sorted() { _ = try PackageModel(package, function: name) }
    try checkOpset(package)
    if let doubt = package.doubts.first {
      throw MILError.model(package: path, expected: "a compiled model as Apple's compiler writes it", found: doubt)
    }
    // Masks are added and may be infinite; a weight that is multiplied may not.
    if let (weight, index) = try PackageWeights(path: path).firstNotFinite,
      !weight.readers.allSatisfy({ ["add", "select", "where"].contains($0) })
    {
      throw MILError.model(
        package: path, expected: "finite weights", found: "'\(weight.name)' with element \(index) that is not")
    }
    return kind(package)
  }

  /// Weights by the way they are stored.
  private static func sums(_ weights: [PackageWeights.Weight]) -> [Inspection.Fact] {
    var sums: [String: (tensors: Int, elements: Int, bytes: Int)] = [:]
    for weight in weights {
      let sum = sums[weight.form.description] ?? (0, 0, 0)
      sums[weight.form.description] = (
        sum.tensors + 1, sum.elements + weight.count, sum.bytes + weight.storedBytes
      )
    }
    let (elements, bytes) = sums.values.reduce((0, 0)) { ($0.0 + $1.elements, $0.1 + $1.bytes) }
    let total = String(
      format: "%d in %d tensors, %.4f bits a weight", elements, weights.count,
      Double(8 * bytes) / Double(max(1, elements)))
    return [Inspection.Fact(name: "weights", value: total)]
      + sums.sorted { $0.key < $1.key }.map { form, sum in
        Inspection.Fact(
          name: "  \(form)", value: "\(sum.tensors) tensors, \(sum.elements) weights, \(sum.bytes) bytes")
      }
  }

  private static func described(_ metadata: Metadata) -> [Inspection.Fact] {
    [
      ("description", metadata.shortDescription), ("author", metadata.author),
      ("version", metadata.version), ("license", metadata.license),
    ].filter { !$0.1.isEmpty }.map { Inspection.Fact(name: $0.0, value: $0.1) }
      + metadata.userDefined.sorted { $0.key < $1.key }.map {
        Inspection.Fact(name: $0.key, value: $0.value)
      }
  }

  /// Which of Apple's three forms the attention has: one product for each head is split, and queries in pieces are v2.
  static func attention(_ package: ModelPackage) -> String {
    let operations = package.model.functions[package.model.defaultFunction]?.block.operations ?? []
    guard operations.contains(where: { $0.type == "softmax" }) else {
      return operations.contains { $0.type == "scaled_dot_product_attention" } ? "fused" : "none"
    }
    guard operations.contains(where: { $0.type == "einsum" }) else { return "original" }
    // Answers of 512 queries, joined along the tokens: `[batch, features, 1, queries]`.
    let joinsPieces = operations.contains { operation in
      guard operation.type == "concat", let parts = operation.inputs["values"], parts.count > 1,
        let shape = operation.outputs.first?.type.tensor?.shape, shape.count == 4, shape[2] == 1,
        case .name(let first) = parts[0],
        let part = operations.first(where: { $0.outputs.contains { $0.name == first } }),
        part.type == "einsum"
      else { return false }
      return part.outputs.first?.type.tensor?.shape?.last != shape[3]
    }
    return joinsPieces ? "split-einsum-v2" : "split-einsum"
  }

  /// Functions may be written for older systems than the specification version's, not for newer ones.
  private static func checkOpset(_ package: ModelPackage) throws {
    let version = Int(package.model.specificationVersion)
    for (name, function) in package.model.functions.sorted(by: { $0.key < $1.key }) {
      // CoreML5 goes with version 6, and so on.
      let number = function.opset.hasPrefix("CoreML") ? Int(function.opset.dropFirst("CoreML".count)) : nil
      guard let number, number >= 5, number < version else {
        throw MILError.model(
          package: package.path,
          expected: "an operation set up to CoreML\(version - 1), of specification \(version), in function '\(name)'",
          found: function.opset)
      }
    }
  }
}

extension Inspection {
  /// Writes every weight of the inspected package, decompressed.
  package func writeWeights(of package: String, to path: String) throws {
    guard weights != nil else {
      throw JobError.option(name: "--weights", expected: "a package to read them from", found: kind)
    }
    let stored = try PackageWeights(path: package)
    let tensors = stored.weights.compactMap { weight in
      stored.elements(of: weight).map { (weight.value, weight.shape, $0) }
    }
    try SafetensorsWriter.write(tensors: tensors, to: path)
  }
}
