package import Kernels

/// A model's weights, or as many other arrays, by name.
package typealias NamedArrays = [String: (shape: Shape, buffer: Buffer)]
