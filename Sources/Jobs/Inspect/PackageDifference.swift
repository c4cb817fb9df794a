internal import Foundation
internal import Kernels
internal import MIL
internal import MILRuntime

/// In what two packages differ, and by how much.
package struct PackageDifference: Codable, Sendable {
  /// Interface, specification and metadata: what one has and the other has not.
  package let interface: [String]
  /// Operations of a type that one has more of.
  package let operations: [Operations]
  /// Where operations have as many and yet are told different things, in words.
  package let arguments: [String]
  package let weights: [Weight]
  /// Weights that hold the same values.
  package let equalWeights: Int

  package struct Operations: Codable, Sendable {
    package let type: String
    package let first: Int
    package let second: Int
  }

  package struct Weight: Codable, Sendable {
    package let name: String
    /// How each stores it; nil where there is none.
    package let first: String?
    package let second: String?
    /// Largest difference of two elements.
    package let maximum: Double?
    /// Of the second against the first, in dB, peak of the first; nil where the values are equal.
    package let psnr: Double?
    package let note: String?
  }

  package var isEmpty: Bool { interface.isEmpty && operations.isEmpty && arguments.isEmpty && weights.isEmpty }

  package init(_ first: String, _ second: String) throws {
    let (a, b) = (try Side(first), try Side(second))
    interface = Self.interface(a, b)
    let (first, second) = (a.interface.operationCounts, b.interface.operationCounts)
    operations = Set(first.keys).union(second.keys).sorted().compactMap { type in
      let (x, y) = (first[type] ?? 0, second[type] ?? 0)
      return x == y ? nil : Operations(type: type, first: x, second: y)
    }
    arguments = ProgramOutline(a.package).differences(to: ProgramOutline(b.package))
    (weights, equalWeights) = Self.weights(a.weights, b.weights)
  }

  private struct Side {
    let package: ModelPackage
    let interface: PackageInterface
    let weights: PackageWeights

    init(_ path: String) throws {
      package = try ModelPackage(path)
      interface = try PackageInterface(package)
      weights = try PackageWeights(path: path)
    }

    /// A line for each fact that an application sees.
    var facts: [String: String] {
      let metadata = package.model.metadata
      var facts = [
        "specification": "\(package.model.specificationVersion)",
        "attention": PackageInspection.attention(package), "version": metadata.version,
        "author": metadata.author, "license": metadata.license, "description": metadata.shortDescription,
      ]
      for (kind, features) in [("input", interface.inputs), ("output", interface.outputs)] {
        for feature in features { facts["\(kind) \(feature.name)"] = feature.typeText }
      }
      for (key, value) in metadata.userDefined { facts[key] = value }
      return facts
    }
  }

  private static func interface(_ a: Side, _ b: Side) -> [String] {
    let (x, y) = (a.facts, b.facts)
    return Set(x.keys).union(y.keys).sorted().compactMap { key in
      x[key] == y[key] ? nil : "\(key): \(x[key] ?? "none") → \(y[key] ?? "none")"
    }
  }

  private static func weights(
    _ a: PackageWeights, _ b: PackageWeights
  ) -> (different: [Weight], equal: Int) {
    let second = Dictionary(b.weights.map { ($0.name, $0) }) { first, _ in first }
    let known = Set(a.weights.map(\.name))
    // Converters number the constants that no torch module names; values tell those apart.
    let lone = b.weights.filter { weight in !known.contains(weight.name) }
    var nameless = Dictionary(grouping: lone) { contents($0, b) }
    var different: [Weight] = []
    var equal = 0
    for x in a.weights {
      guard let y = second[x.name] else {
        if nameless[contents(x, a)]?.popLast() == nil {
          different.append(absent(x.name, first: x.form.description, second: nil))
        } else {
          equal += 1
        }
        continue
      }
      let weight = compare(x, y, a, b)
      if weight.maximum == 0, weight.first == weight.second, weight.note == nil {
        equal += 1
      } else {
        different.append(weight)
      }
    }
    for y in nameless.values.joined().sorted(by: { $0.name < $1.name }) {
      different.append(absent(y.name, first: nil, second: y.form.description))
    }
    return (different, equal)
  }

  /// A weight's form and values, by which it is found under another name.
  private static func contents(
    _ weight: PackageWeights.Weight, _ package: PackageWeights
  ) -> Data {
    let values = package.elements(of: weight)
    return Data("\(weight.form) \(weight.count) ".utf8) + (values?.bytes ?? Data())
  }

  private static func absent(_ name: String, first: String?, second: String?) -> Weight {
    Weight(
      name: name, first: first, second: second, maximum: nil, psnr: nil,
      note: "only in the \(first == nil ? "second" : "first")")
  }

  private static func compare(
    _ x: PackageWeights.Weight, _ y: PackageWeights.Weight, _ a: PackageWeights,
    _ b: PackageWeights
  ) -> Weight {
    func weight(maximum: Double?, psnr: Double?, note: String?) -> Weight {
      Weight(
        name: x.name, first: x.form.description, second: y.form.description, maximum: maximum,
        psnr: psnr, note: note)
    }
    // A linear's weight may be stored as that of a 1×1 convolution.
    guard x.shape.filter({ $0 > 1 }) == y.shape.filter({ $0 > 1 }),
      let first = a.elements(of: x), let second = b.elements(of: y)
    else { return weight(maximum: nil, psnr: nil, note: "shapes \(x.shape) and \(y.shape)") }
    // An infinity has no difference to itself.
    guard first.bytes != second.bytes else { return weight(maximum: 0, psnr: nil, note: nil) }
    let error = SignalError(first, second)
    return weight(maximum: error.maximum, psnr: error.maximum == 0 ? nil : error.psnr, note: nil)
  }

  package var text: String {
    if isEmpty { return "no difference: \(equalWeights) weights are equal" }
    var lines = interface
    lines += operations.map { "operation \($0.type): \($0.first) → \($0.second)" } + arguments
    lines += weights.map { weight in
      let forms =
        weight.first == weight.second
        ? weight.first ?? "" : "\(weight.first ?? "none") → \(weight.second ?? "none")"
      let size = weight.maximum.map { maximum in
        maximum == 0
          ? "equal values"
          : String(format: "largest difference %.3g, PSNR %.1f dB", maximum, weight.psnr ?? .infinity)
      }
      return "weight \(weight.name): " + [forms, size, weight.note].compactMap { $0 }.joined(separator: ", ")
    }
    return (lines + ["\(equalWeights) weights are equal"]).joined(separator: "\n")
  }
}
