internal import Clustering
internal import Kernels
package import WeightFiles

/// The weights of a component, read and palettized a few at a time while the package is written.
///
/// Nothing is held longer than until it is written, so that memory does not grow with the network.
package final class StreamedWeights: ExportWeights {
  private let source: any WeightSource
  private let policy: PalettePolicy
  private let precision: ExportOptions.Precision
  /// In the order of the program.
  private var order: [String] = []
  private var place: [String: Int] = [:]
  private var ready: [String: ExportWeight] = [:]

  /// Elements that are prepared together: as many bytes as four of the largest convolutions of SD 1.5 in half precision.
  private static let window = 1 << 25

  package init(
    _ source: any WeightSource, policy: PalettePolicy, precision: ExportOptions.Precision = .half
  ) {
    self.source = source
    self.policy = policy
    self.precision = precision
  }

  package func announce(_ names: [String]) {
    order = names
    place = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
  }

  package func weight(_ name: String) throws -> ExportWeight {
    if let weight = ready.removeValue(forKey: name) { return weight }
    let names = upcoming(from: name)
    let results = Parallel.map(names.count) { [source, policy, precision] index in
      Result { try Self.read(names[index], source, policy, precision) }
    }
    for (name, result) in zip(names, results) {
      ready[name] = try result.get()
    }
    guard let weight = ready.removeValue(forKey: name) else { throw ExportError.missingWeight(name) }
    return weight
  }

  /// The weight and those behind it, as many as fit a window.
  private func upcoming(from name: String) -> [String] {
    var names = [name]
    var elements = size(name)
    for next in order.dropFirst((place[name] ?? order.count) + 1) where ready[next] == nil {
      elements += size(next)
      guard elements <= Self.window else { break }
      names.append(next)
    }
    return names
  }

  private func size(_ name: String) -> Int { (source.shape(of: name) ?? []).reduce(1, *) }

  private static func read(
    _ name: String, _ source: any WeightSource, _ policy: PalettePolicy,
    _ precision: ExportOptions.Precision
  ) throws -> ExportWeight {
    guard let shape = source.shape(of: name) else { throw ExportError.missingWeight(name) }
    let buffer = try source.floats(name)
    let largest: Float = precision == .half ? HalfPrecision.largest : .greatestFiniteMagnitude
    if let index = buffer.firstIndex(beyond: largest) {
      throw ExportError.value(
        weight: name, file: source.origin, index: index, value: buffer[index], largest: largest)
    }
    guard let form = policy.form(of: name, shape: shape) else { return .dense(buffer) }
    let layout = try form.layout(of: shape)
    let scale = form.channelScale ? PaletteElements.scale(of: buffer, layout) : nil
    let elements = PaletteElements(buffer, form, layout, scale: scale)
    return .palettized(try elements.palettized(elements.optimalTable()))
  }
}
