package import Files
package import Kernels

/// Weights under other names, or parts of them.
package struct RenamedWeights: WeightSource {
  /// How a weight is seen in another source's tensor.
  package enum View: Sendable, Equatable {
    case whole(String)
    /// Some rows of a tensor, such as the queries' of a fused projection.
    case rows(String, Range<Int>)
    /// A matrix with rows and columns exchanged.
    case transposed(String)
    /// The same elements with other extents.
    case reshaped(String, [Int])

    package var name: String {
      switch self {
      case .whole(let name), .rows(let name, _), .transposed(let name), .reshaped(let name, _): name
      }
    }
  }

  private let base: any WeightSource
  private let views: [String: View]
  /// What the file calls a tensor that is not there.
  private let spell: @Sendable (String) -> String?

  /// - Parameters:
  ///   - views: by new names; views of tensors that the source does not have, or that do not fit, are left out.
  ///   - spell: the file's name for a new one.
  package init(
    _ base: any WeightSource, _ views: [String: View], spell: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.base = base
    self.views = views.filter { Self.shape(of: $1, in: base) != nil }
    self.spell = spell
  }

  package var origin: String { base.origin }
  package var files: [String] { base.files }
  package var metadata: [String: String] { base.metadata }
  package var notes: [String] { base.notes }
  package var names: [String] { views.keys.sorted() }

  package func spelling(of name: String) -> String { base.spelling(of: views[name]?.name ?? spell(name) ?? name) }

  package func shape(of name: String) -> [Int]? { views[name].flatMap { Self.shape(of: $0, in: base) } }
  package func typeName(of name: String) -> String? { views[name].flatMap { base.typeName(of: $0.name) } }
  package func holdsFloats(_ name: String) -> Bool { views[name].map { base.holdsFloats($0.name) } ?? false }

  private static func shape(of view: View, in base: any WeightSource) -> [Int]? {
    guard let shape = base.shape(of: view.name) else { return nil }
    switch view {
    case .whole: return shape
    case .rows(_, let rows):
      return shape.first.map { rows.upperBound <= $0 } ?? false ? [rows.count] + shape.dropFirst() : nil
    case .transposed: return shape.count == 2 ? [shape[1], shape[0]] : nil
    case .reshaped(_, let wanted): return wanted.reduce(1, *) == shape.reduce(1, *) ? wanted : nil
    }
  }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    guard let view = views[name], let shape = base.shape(of: view.name) else {
      throw .missing(file: origin, item: "tensor \(spelling(of: name))")
    }
    let all = try base.elements(view.name)
    switch view {
    case .whole, .reshaped: return all
    case .rows(_, let rows):
      let width = shape.dropFirst().reduce(1, *)
      return WeightElements(count: rows.count * width) { part, y, offset in
        all.copy(
          .init(
            first: part.first + rows.lowerBound * width, rows: part.rows, columns: part.columns, pitch: part.pitch),
          into: y, at: offset)
      }
    case .transposed:
      let (buffer, rows, columns) = (all.buffer, shape[0], shape[1])
      let turned = Buffer(uninitialized: buffer.count)
      turned.withMutableSpan(0..<buffer.count) { span in
        for row in 0..<rows {
          for column in 0..<columns { span[column * rows + row] = buffer[row * columns + column] }
        }
      }
      return WeightElements(turned)
    }
  }
}

/// Weights some of which have other elements than their source says.
package struct ReplacedWeights: WeightSource {
  private let base: any WeightSource
  private let replaced: [String: Buffer]
  private let removed: Set<String>
  private let note: String

  /// - Parameters:
  ///   - replaced: as many elements as the source has under the name.
  ///   - note: what was done, for whoever compares weights by where they come from.
  package init(_ base: any WeightSource, _ replaced: [String: Buffer], removing removed: Set<String> = [], note: String)
  {
    precondition(
      replaced.allSatisfy { base.shape(of: $0)?.reduce(1, *) == $1.count }, "\(base.origin): replacements do not fit")
    self.base = base
    self.replaced = replaced
    self.removed = removed
    self.note = note
  }

  package var origin: String { base.origin }
  package var files: [String] { base.files }
  package var metadata: [String: String] { base.metadata }
  package var notes: [String] { base.notes + [note] }
  package var names: [String] { base.names.filter { !removed.contains($0) } }
  package func spelling(of name: String) -> String { base.spelling(of: name) }
  package func shape(of name: String) -> [Int]? { removed.contains(name) ? nil : base.shape(of: name) }
  package func typeName(of name: String) -> String? { base.typeName(of: name) }
  package func holdsFloats(_ name: String) -> Bool { base.holdsFloats(name) }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    if let buffer = replaced[name] { return WeightElements(buffer) }
    return try base.elements(name)
  }
}
