import Foundation
import Kernels
import Testing

/// Fused attention and its gradient against the definition in double precision, in every layout.
@Suite struct FusedAttentionTests {
  struct Case: Sendable {
    let queries, keys, features, heads: Int
    /// Whether each operand lies feature by feature.
    let planar: [Bool]
  }

  static let cases = [
    Case(queries: 200, keys: 77, features: 40, heads: 2, planar: [false, false, false, false]),
    Case(queries: 97, keys: 201, features: 33, heads: 3, planar: [true, false, true, true]),
    Case(queries: 5, keys: 3, features: 8, heads: 1, planar: [true, true, true, false]),
    Case(queries: 256, keys: 256, features: 160, heads: 1, planar: [false, true, false, true]),
    Case(queries: 500, keys: 193, features: 16, heads: 1, planar: [false, false, false, false]),
  ]

  private func operand(_ tokens: Int, _ test: Case, _ index: Int) -> FusedAttention.Operand {
    test.planar[index]
      ? .init(
        offsets: (0..<test.heads).map { $0 * tokens * test.features }, tokenStride: 1, featureStride: tokens)
      : .init(
        offsets: (0..<test.heads).map { $0 * test.features }, tokenStride: test.heads * test.features,
        featureStride: 1)
  }

  /// Values and gradients of one head, in the order of tokens and features.
  private struct Reference {
    var o, dq, dk, dv: [Double]

    init(_ test: Case, scale: Double, q: [Double], k: [Double], v: [Double], dy: [Double]) {
      let (n, m, d) = (test.queries, test.keys, test.features)
      o = [Double](repeating: 0, count: n * d)
      dq = o
      dk = [Double](repeating: 0, count: m * d)
      dv = dk
      for i in 0..<n {
        var p = (0..<m).map { j in (0..<d).reduce(0) { $0 + q[i * d + $1] * k[j * d + $1] } * scale }
        let top = p.max() ?? 0
        p = p.map { exp($0 - top) }
        let total = p.reduce(0, +)
        p = p.map { $0 / total }
        var dp = [Double](repeating: 0, count: m)
        for j in 0..<m {
          for f in 0..<d {
            o[i * d + f] += p[j] * v[j * d + f]
            dp[j] += dy[i * d + f] * v[j * d + f]
            dv[j * d + f] += p[j] * dy[i * d + f]
          }
        }
        let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
        for j in 0..<m {
          let ds = p[j] * (dp[j] - mean) * scale
          for f in 0..<d {
            dq[i * d + f] += ds * k[j * d + f]
            dk[j * d + f] += ds * q[i * d + f]
          }
        }
      }
    }
  }

  /// Bound: 2·10⁻⁶ of the largest element, as for products of 32-bit floats; exponentials are good to 2·10⁻⁷.
  @Test(arguments: cases.indices) func valuesAndGradients(_ index: Int) {
    let test = Self.cases[index]
    let (n, m, d) = (test.queries, test.keys, test.features)
    let attention = FusedAttention(
      queries: n, keys: m, features: d, scale: 1.7 / Float(d).squareRoot(), q: operand(n, test, 0),
      k: operand(m, test, 1), v: operand(m, test, 2), o: operand(n, test, 3))
    let (q, dy) = (numbers(n * d * test.heads), numbers(n * d * test.heads, seed: 4))
    let (k, v) = (numbers(m * d * test.heads, seed: 2), numbers(m * d * test.heads, seed: 3))
    let o = Buffer(uninitialized: q.count)
    let logsum = Buffer(uninitialized: test.heads * n)
    attention.forward(q, k, v, into: o, logsum: logsum)
    let gradients = attention.gradient(q, k, v, o: o, logsum: logsum, dy: dy)
    for head in 0..<test.heads {
      func taken(_ x: Buffer, _ operand: FusedAttention.Operand, _ tokens: Int) -> [Double] {
        (0..<tokens * d).map {
          Double(x[operand.offsets[head] + $0 / d * operand.tokenStride + $0 % d * operand.featureStride])
        }
      }
      let expected = Reference(
        test, scale: Double(attention.scale), q: taken(q, attention.q, n), k: taken(k, attention.k, m),
        v: taken(v, attention.v, m), dy: taken(dy, attention.o, n))
      for (found, values) in [
        (taken(o, attention.o, n), expected.o), (taken(gradients.dq, attention.q, n), expected.dq),
        (taken(gradients.dk, attention.k, m), expected.dk), (taken(gradients.dv, attention.v, m), expected.dv),
      ] {
        #expect(relativeError(Buffer(found.map { Float($0) }), values) < 2e-6)
      }
    }
  }

  /// A picture should not look sound where the arithmetic was not.
  @Test func whatIsNoNumberStaysSo() {
    let test = Case(queries: 40, keys: 33, features: 16, heads: 1, planar: [false, false, false, false])
    let attention = FusedAttention(
      queries: 40, keys: 33, features: 16, scale: 0.25, q: operand(40, test, 0), k: operand(33, test, 1),
      v: operand(33, test, 2), o: operand(40, test, 3))
    let (q, k, v) = (numbers(640, seed: 1), numbers(528, seed: 2), numbers(528, seed: 3))
    q.pointer[7 * 16 + 3] = .nan
    let o = Buffer(uninitialized: 640)
    attention.forward(q, k, v, into: o, logsum: nil)
    for token in 0..<40 { #expect(o[token * 16].isNaN == (token == 7)) }
  }
}
