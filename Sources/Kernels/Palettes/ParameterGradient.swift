internal import CKernels

/// The gradient of an array that is stepped: its elements, or the way to them, so that they need not exist as a whole.
package enum ParameterGradient: Sendable {
  case elements(Buffer)
  case keyed(KeyedAffine)

  package var count: Int {
    switch self {
    case .elements(let buffer): buffer.count
    case .keyed(let affine): affine.dy.count
    }
  }

  /// All of them.
  package var elements: Buffer {
    switch self {
    case .elements(let buffer): buffer
    case .keyed(let affine): affine.elements
    }
  }
}

/// `dx[i] = gain · dy[i] + shared`, where gain and shared are those of the weight's key.
package struct KeyedAffine: Sendable {
  let keys: WeightKeys
  /// `[65,536, 2]`; only what weights have is set.
  let pairs: Buffer
  let dy: Buffer

  /// Every weight's.
  package var elements: Buffer {
    let dx = Buffer(uninitialized: dy.count)
    write(into: dx)
    return dx
  }

  /// Every weight's, at its place.
  package func write(into dx: Buffer) {
    precondition(dx.count == dy.count, "affine: \(dx.count) of \(dy.count) weights")
    keys.eachRange { part in write(part, into: dx.pointer + part.lowerBound) }
  }

  /// Those of some weights, which may have other values afterwards.
  func write(_ part: Range<Int>, into dx: UnsafeMutablePointer<Float>) {
    sd_affine_by_key(
      keys.weights.pointer + part.lowerBound, keys.kernel, pairs.pointer, dy.pointer + part.lowerBound, dx, part.count)
  }
}
