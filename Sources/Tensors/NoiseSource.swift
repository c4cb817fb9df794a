/// Whose random numbers a picture starts from.
package enum NoiseSource: Sendable {
  case torch(TorchGenerator)
  case numpy(NumpyGenerator)
  case nvidia(NvidiaGenerator)

  /// The kinds by name, as options give them.
  package enum Kind: String, Sendable, CaseIterable {
    case torch, numpy, nvidia
  }

  /// - Parameters:
  ///   - seed: torch and NumPy take its low 32 bits.
  ///   - asApple: whether torch's is ml-stable-diffusion's version of it.
  package init(_ kind: Kind, seed: UInt64, asApple: Bool = false) {
    switch kind {
    case .torch: self = .torch(TorchGenerator(seed: seed, refillsFromDoubles: asApple))
    case .numpy: self = .numpy(NumpyGenerator(seed: UInt32(truncatingIfNeeded: seed)))
    case .nvidia: self = .nvidia(NvidiaGenerator(seed: seed))
    }
  }

  /// Standard normals.
  package mutating func normals(_ count: Int) -> [Float] {
    switch self {
    case .torch(var generator):
      defer { self = .torch(generator) }
      return generator.normals(count)
    case .numpy(var generator):
      defer { self = .numpy(generator) }
      return generator.normals(count)
    case .nvidia(var generator):
      defer { self = .nvidia(generator) }
      return generator.normals(count)
    }
  }
}
