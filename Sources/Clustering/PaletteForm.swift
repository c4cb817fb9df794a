package import Kernels

/// What a tensor's palettes look like, within what Core ML can hold.
package struct PaletteForm: Hashable, Sendable {
  /// How palette entries are stored.
  package enum Entries: Hashable, Sendable {
    case half
    /// Whole numbers from -127 to 127, times a half-precision step for each group.
    case int8
  }

  package var bits: Int
  /// Neighbouring channels that share a palette; nil for one palette a tensor.
  package var groupSize: Int?
  /// The channel axis: of groups, vectors and scales.
  package var axis: Int
  /// Numbers in a palette entry, for consecutive channels.
  package var vector: Int
  /// Whether channels are divided by a factor of their own before they are clustered.
  package var channelScale: Bool
  package var entries: Entries
  /// Whether one entry is kept at exactly zero.
  package var enforcesZero: Bool

  package init(
    bits: Int, groupSize: Int? = nil, axis: Int = 0, vector: Int = 1, channelScale: Bool = false,
    entries: Entries = .half, enforcesZero: Bool = false
  ) {
    self.bits = bits
    self.groupSize = groupSize
    self.axis = axis
    self.vector = vector
    self.channelScale = channelScale
    self.entries = entries
    self.enforcesZero = enforcesZero
  }

  /// This form, or one palette of as many bits for a weight whose channels do not divide into its groups and vectors,
  /// such as the four output channels of a UNet's last convolution.
  package func fitting(_ shape: [Int]) -> PaletteForm {
    (try? layout(of: shape)) == nil ? PaletteForm(bits: bits, entries: entries, enforcesZero: enforcesZero) : self
  }

  /// - Throws: ``ClusteringError/layout`` if the channels of the shape do not divide so,
  ///   ``ClusteringError/unsupportedBits`` for other widths than Core ML's.
  package func layout(of shape: [Int]) throws(ClusteringError) -> PaletteLayout {
    guard ClusteringOptions.supportedBits.contains(bits) else { throw .unsupportedBits(bits) }
    guard groupSize != nil || vector > 1 || channelScale else { return PaletteLayout(shape: shape) }
    guard shape.indices.contains(axis) else { throw .layout("axis \(axis)", shape: shape) }
    let channels = shape[axis]
    let size = groupSize ?? channels
    guard size > 0, channels % size == 0 else {
      throw .layout("groups of \(size) channels on axis \(axis)", shape: shape)
    }
    guard PaletteLayout.vectors.contains(vector), size % vector == 0 else {
      throw .layout("vectors of \(vector) channels on axis \(axis)", shape: shape)
    }
    return PaletteLayout(shape: shape, axis: axis, groups: channels / size, vector: vector)
  }
}

/// Which elements of a tensor share a palette, and in which order palettes see them.
package struct PaletteLayout: Sendable, Equatable {
  /// Numbers that a palette entry can have.
  package static let vectors = 1...8

  /// Axes of the tensor, outermost first.
  package let shape: [Int]
  package let axis: Int
  package let groups: Int
  package let vector: Int

  /// - Precondition: the channels divide into such groups, and these into such vectors.
  package init(shape: [Int], axis: Int = 0, groups: Int = 1, vector: Int = 1) {
    precondition(
      groups == 1 && vector == 1
        || shape.indices.contains(axis) && shape[axis] % (groups * vector) == 0,
      "\(shape) in \(groups) groups of vectors of \(vector) along axis \(axis)")
    self.shape = shape
    self.axis = axis
    self.groups = groups
    self.vector = vector
  }

  package var count: Int { shape.reduce(1, *) }
  package var channels: Int { shape.isEmpty ? 1 : shape[axis] }

  /// Axes of the indices, outermost first.
  package var indexShape: [Int] {
    guard vector > 1 else { return shape }
    var shape = shape
    shape[axis] /= vector
    return shape
  }

  /// Elements to and from the order in which those of a palette, and those of a vector, are neighbours.
  package var arrangement: ChannelArrangement {
    ChannelArrangement(
      outer: shape.prefix(axis).reduce(1, *), channels: channels,
      inner: shape.dropFirst(axis + 1).reduce(1, *), block: vector)
  }

  /// The elements of a group in the arranged order.
  package func range(_ group: Int) -> Range<Int> {
    let length = count / groups
    return group * length..<(group + 1) * length
  }

  /// The indices of a group in the arranged order.
  package func indexRange(_ group: Int) -> Range<Int> {
    let length = count / vector / groups
    return group * length..<(group + 1) * length
  }
}
