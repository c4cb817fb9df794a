package import Kernels
internal import Synchronization
package import Tensors

/// Weights by name: the values of a model.
///
/// It notes which of them were asked for, so that a file with weights the model does not have is an error too.
package final class ParameterStore: ParameterSource {
  /// Where the weights came from, for messages.
  package let origin: String
  private let leaves: [String: Node]
  private let buffers: [String: Buffer]
  /// Weights that are read anew for every use.
  private let stored: [String: @Sendable () -> WeightElements]
  private let asked = Mutex<Set<String>>([])
  /// What the file calls a weight, for messages.
  private let spelling: @Sendable (String) -> String

  /// - Parameters:
  ///   - weights: values by name; each becomes a leaf of that name for gradients.
  ///   - stored: weights that stay where they are, in a file perhaps, and are read anew for every use. No name is in
  ///     both.
  ///   - spelling: what the file calls a weight, for messages.
  package init(
    _ weights: NamedArrays,
    stored: [String: (shape: Shape, read: @Sendable () -> WeightElements)] = [:], origin: String,
    spelling: @escaping @Sendable (String) -> String = { $0 }
  ) {
    self.origin = origin
    self.spelling = spelling
    buffers = weights.mapValues(\.buffer)
    self.stored = stored.mapValues(\.read)
    let shapes = weights.mapValues(\.shape).merging(stored.mapValues(\.shape)) { _, _ in
      preconditionFailure("\(origin): a weight both in memory and stored")
    }
    leaves = Dictionary(uniqueKeysWithValues: shapes.map { ($0, Node(leaf: $0, shape: $1)) })
  }

  package var names: [String] { leaves.keys.sorted() }

  package func shape(of name: String) -> Shape? { leaves[name]?.shape }

  /// The elements; a stored weight is read.
  package func buffer(_ name: String) -> Buffer? { buffers[name] ?? stored[name]?().buffer }

  /// The elements of a weight that a package of half precision is to hold.
  ///
  /// - Throws: ``ParameterError/value(_:index:value:largest:file:)`` where one is beyond that, or no number.
  package func halfPrecisionBuffer(_ name: String) throws(ParameterError) -> Buffer? {
    guard let buffer = buffer(name) else { return nil }
    if let index = buffer.firstIndex(beyond: HalfPrecision.largest) {
      throw .value(spelling(name), index: index, value: buffer[index], largest: HalfPrecision.largest, file: origin)
    }
    return buffer
  }

  /// The same values but for one weight.
  package func replacing(_ name: String, with buffer: Buffer) -> ParameterStore {
    precondition(shape(of: name)?.count == buffer.count, "no \(buffer.count) elements of \(name) to replace")
    var buffers = buffers
    var stored = stored
    stored[name] = nil
    buffers[name] = buffer
    return ParameterStore(
      leaves: leaves, buffers: buffers, stored: stored, origin: origin, spelling: spelling)
  }

  private init(
    leaves: [String: Node], buffers: [String: Buffer], stored: [String: @Sendable () -> WeightElements], origin: String,
    spelling: @escaping @Sendable (String) -> String
  ) {
    self.spelling = spelling
    self.leaves = leaves
    self.buffers = buffers
    self.stored = stored
    self.origin = origin
  }

  /// The leaf under which gradients of this weight are delivered.
  package func leaf(_ name: String) -> Node? { leaves[name] }

  package func contains(_ name: String) -> Bool { leaves[name] != nil }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    guard let leaf = leaves[name] else { throw .missing(spelling(name), shape: shape, file: origin) }
    guard leaf.shape == shape else {
      throw .misshapen(spelling(name), expected: shape, found: leaf.shape, file: origin)
    }
    asked.withLock { _ = $0.insert(name) }
    if let read = stored[name] {
      return Parameter(name: name, shape: shape) { Tensor(making: read, leaf: leaf) }
    }
    guard let buffer = buffers[name] else { preconditionFailure("\(origin): \(name) is nowhere") }
    return Parameter(name: name, shape: shape) { Tensor(shape, buffer).leaf(leaf) }
  }

  /// - Throws: if there are weights that no layer asked for.
  package func checkAllUsed() throws(ParameterError) {
    let unused = asked.withLock { asked in names.filter { !asked.contains($0) } }
    guard unused.isEmpty else { throw .unused(unused.map(spelling), file: origin) }
  }
}
