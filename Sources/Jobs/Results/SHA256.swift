internal import Foundation

/// SHA-256 (FIPS 180-4) of a package, so that a report says which one it measured.
///
/// Our own because swift-crypto's build costs more than all of sdtune's.
package struct SHA256 {
  private var state: [UInt32] = Self.initial
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  package init() {}

  /// Of every file in a folder: each one's path relative to the folder, a zero byte and its contents, sorted by path.
  static func ofFolder(_ path: String) throws -> String {
    var hash = SHA256()
    let names = try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
    for name in names {
      let facts = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
      guard facts[.type] as? FileAttributeType == .typeRegular else { continue }
      hash.update(Array(name.utf8) + [0])
      let handle = try FileHandle(forReadingFrom: URL(filePath: "\(path)/\(name)"))
      defer { try? handle.close() }
      while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty { hash.update([UInt8](part)) }
    }
    return hash.finish()
  }

  package mutating func update(_ bytes: [UInt8]) {
    length += UInt64(bytes.count)
    let whole: Int
    if pending.isEmpty {
      whole = bytes.count / 64 * 64
      compress(bytes, upTo: whole)
      pending = Array(bytes[whole...])
    } else {
      pending += bytes
      whole = pending.count / 64 * 64
      compress(pending, upTo: whole)
      pending.removeFirst(whole)
    }
  }

  /// The digest in hexadecimal.
  package mutating func finish() -> String {
    let bits = length * 8
    let zeros = (119 - pending.count % 64) % 64
    var tail = pending + [0x80] + [UInt8](repeating: 0, count: zeros)
    tail += (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * $0)) }
    compress(tail, upTo: tail.count)
    return state.map { String(format: "%08x", $0) }.joined()
  }

  /// Takes in the blocks of 64 bytes before `end`.
  private mutating func compress(_ bytes: [UInt8], upTo end: Int) {
    let constants = Self.constants
    var w = [UInt32](repeating: 0, count: 64)
    for start in stride(from: 0, to: end, by: 64) {
      for i in 0..<16 {
        let at = start + 4 * i
        let high = UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16
        w[i] = high | UInt32(bytes[at + 2]) << 8 | UInt32(bytes[at + 3])
      }
      for i in 16..<64 {
        let s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3
        let s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10
        w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
      }
      var (a, b, c, d) = (state[0], state[1], state[2], state[3])
      var (e, f, g, h) = (state[4], state[5], state[6], state[7])
      for i in 0..<64 {
        let s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
        let t1 = h &+ s1 &+ (e & f ^ ~e & g) &+ constants[i] &+ w[i]
        let s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
        let t2 = s0 &+ (a & b ^ a & c ^ b & c)
        (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
      }
      for (i, x) in [a, b, c, d, e, f, g, h].enumerated() { state[i] = state[i] &+ x }
    }
  }

  private func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }

  private static let primes: [Int] = {
    var primes: [Int] = []
    var n = 2
    while primes.count < 64 {
      if primes.allSatisfy({ n % $0 != 0 }) { primes.append(n) }
      n += 1
    }
    return primes
  }()

  /// The first 32 bits of the fraction of the primes' square and cube roots, in exact integer arithmetic.
  private static let initial = primes.prefix(8).map { fraction(of: $0, root: 2) }
  private static let constants = primes.map { fraction(of: $0, root: 3) }

  private static func fraction(of prime: Int, root: Int) -> UInt32 {
    // The largest r with r^root ≤ prime · 2^(32 root), bit by bit.
    var r: UInt64 = 0
    for bit in stride(from: 36, through: 0, by: -1) {
      let trial = r | 1 << UInt64(bit)
      if power(trial, root, atMost: UInt64(prime), shift: 32 * root) { r = trial }
    }
    return UInt32(truncatingIfNeeded: r)
  }

  /// Whether `x^root ≤ limit · 2^shift`, by long multiplication in 32-bit digits.
  private static func power(_ x: UInt64, _ root: Int, atMost limit: UInt64, shift: Int) -> Bool {
    let digits = [UInt32(truncatingIfNeeded: x), UInt32(truncatingIfNeeded: x >> 32)]
    var product: [UInt32] = [1]
    for _ in 0..<root { product = multiply(product, digits) }
    var bound = [UInt32](repeating: 0, count: shift / 32)
    bound += [UInt32(truncatingIfNeeded: limit), UInt32(truncatingIfNeeded: limit >> 32)]
    let size = max(product.count, bound.count)
    for i in stride(from: size - 1, through: 0, by: -1) {
      let (a, b) = (i < product.count ? product[i] : 0, i < bound.count ? bound[i] : 0)
      if a != b { return a < b }
    }
    return true
  }

  private static func multiply(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
    var product = [UInt32](repeating: 0, count: a.count + b.count)
    for i in a.indices {
      var carry: UInt64 = 0
      for j in b.indices {
        let sum = UInt64(product[i + j]) + UInt64(a[i]) * UInt64(b[j]) + carry
        product[i + j] = UInt32(truncatingIfNeeded: sum)
        carry = sum >> 32
      }
      product[i + b.count] = UInt32(truncatingIfNeeded: carry)
    }
    return product
  }
}
