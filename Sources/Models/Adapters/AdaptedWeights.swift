internal import Files
internal import Kernels
internal import Synchronization
internal import WeightFiles

/// Weights with adapters merged where they are read, in single precision: `W′ = W + strength · change(W)`.
///
/// Nothing is held but the factors of the weights in use, so that memory does not grow by a second model.
struct AdaptedWeights: WeightSource {
  /// A change and how strongly it counts.
  typealias Step = (change: AdapterChange, strength: Double)

  private let base: any WeightSource
  private let steps: [String: [Step]]
  private let lengths = Lengths()
  private let ownFiles, ownNotes: [String]

  /// - Parameters:
  ///   - steps: for each weight, in order.
  ///   - files: the adapters'.
  ///   - notes: adapters and strengths in words.
  init(_ base: any WeightSource, _ steps: [String: [Step]], files: [String], notes: [String]) {
    self.base = base
    self.steps = steps
    (ownFiles, ownNotes) = (files, notes)
  }

  var origin: String { base.origin }
  var files: [String] { base.files + ownFiles }
  var notes: [String] { base.notes + ownNotes }
  var metadata: [String: String] { base.metadata }
  var names: [String] { base.names }
  func spelling(of name: String) -> String { base.spelling(of: name) }
  func shape(of name: String) -> [Int]? { base.shape(of: name) }
  func typeName(of name: String) -> String? { base.typeName(of: name) }
  func holdsFloats(_ name: String) -> Bool { base.holdsFloats(name) }

  func elements(_ name: String) throws(FileError) -> WeightElements {
    var elements = try base.elements(name)
    guard elements.count > 0, let steps = steps[name], let shape = base.shape(of: name) else { return elements }
    let rows = shape.first ?? 1
    for (index, step) in steps.enumerated() {
      do {
        let change = try step.change.prepared(strength: step.strength)
        elements = try changed(elements, by: change, Float(step.strength), rows: rows, key: "\(name) \(index)")
      } catch {
        throw error as? FileError
          ?? .malformedItem(file: origin, item: name, expected: "an adapter's factors", found: "\(error)")
      }
    }
    return elements
  }

  private func changed(
    _ elements: WeightElements, by change: AdapterChange.Prepared, _ strength: Float, rows: Int, key: String
  ) throws -> WeightElements {
    let width = max(1, elements.count / max(1, rows))
    // DoRA: V = W + change, W′ = V / ‖V‖ · m, and of that as much as the strength says.
    let magnitude = change.magnitude
    let norms = magnitude.map { magnitude in
      lengths.of(key) { Self.norms(elements, change, rows: rows, width: width, ofRows: magnitude.isOfRows) }
    }
    let kernel = magnitude.map { $0.isOfRows ? 1 : max(1, width / max(1, $0.lengths.count)) } ?? 1
    return WeightElements(count: elements.count) { part, y, offset in
      elements.copy(part, into: y, at: offset)
      part.forEachRow { range, start in
        Self.forEachPiece(of: range, width: width) { rows, columns, place in
          let (at, count) = (offset + start + place, rows.count * columns.count)
          let isPartial = magnitude != nil && strength != 1
          let weight = change.readsWeight || isPartial ? Self.copy(y, at: at, count) : nil
          change.add(rows: rows, columns, weight: weight, to: y, at: at)
          guard let magnitude, let norms else { return }
          y.withMutableSpan(at..<at + count) { y in
            for index in 0..<count {
              let (row, column) = index.quotientAndRemainder(dividingBy: columns.count)
              let which = magnitude.isOfRows ? rows.lowerBound + row : (columns.lowerBound + column) / kernel
              let whole = y[index] / norms[which] * magnitude.lengths[which]
              if isPartial, let weight {
                y[index] = weight[index] + strength * (whole - weight[index])
              } else {
                y[index] = whole
              }
            }
          }
        }
      }
    }
  }

  /// Lengths of the rows of `W + change`, or of its columns with their kernels.
  private static func norms(
    _ elements: WeightElements, _ change: AdapterChange.Prepared, rows: Int, width: Int, ofRows: Bool
  ) -> [Float] {
    let count = ofRows ? rows : change.magnitude?.lengths.count ?? 1
    let kernel = ofRows ? width : max(1, width / max(1, count))
    var sums = [Double](repeating: 0, count: count)
    for start in stride(from: 0, to: rows, by: 16) {
      let some = start..<min(rows, start + 16)
      let block = Buffer(uninitialized: some.count * width)
      elements.copy(.init(first: start * width, columns: block.count), into: block)
      let weight = change.readsWeight ? copy(block, at: 0, block.count) : nil
      change.add(rows: some, 0..<width, weight: weight, to: block, at: 0)
      for (index, row) in some.enumerated() {
        for column in 0..<width {
          let element = Double(block[index * width + column])
          sums[ofRows ? row : column / kernel] += element * element
        }
      }
    }
    return sums.map { Float($0.squareRoot()) }
  }

  private static func copy(_ y: Buffer, at offset: Int, _ count: Int) -> Buffer {
    let copy = Buffer(uninitialized: count)
    copy.copy(from: y, offset..<offset + count, at: 0)
    return copy
  }

  /// Calls `body` with the blocks of rows and columns that some consecutive elements make up (the end of a row, whole rows, the
  /// beginning of another), and with where each begins among them.
  private static func forEachPiece(of range: Range<Int>, width: Int, _ body: (Range<Int>, Range<Int>, Int) -> Void) {
    var start = range.lowerBound
    while start < range.upperBound {
      let (row, column) = start.quotientAndRemainder(dividingBy: width)
      let left = range.upperBound - start
      let rows = column == 0 ? max(1, left / width) : 1
      let columns = column..<min(width, column + left)
      body(row..<row + rows, columns, start - range.lowerBound)
      start += rows * columns.count
    }
  }

  /// Lengths that were computed before: they need the whole weight.
  private final class Lengths: Sendable {
    private let known = Mutex<[String: [Float]]>([:])

    func of(_ key: String, _ make: () -> [Float]) -> [Float] {
      if let found = known.withLock({ $0[key] }) { return found }
      let made = make()
      known.withLock { $0[key] = made }
      return made
    }
  }
}
