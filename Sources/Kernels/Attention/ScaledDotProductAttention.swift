internal import CKernels
internal import Foundation

/// Multi-head attention over token-major tensors: the score matrix never exists as a whole.
///
///     o = softmax(scale q kᵀ) v        for each sample and head
///
/// Without a mask it is ``FusedAttention``; with one, rows of scores are computed tile by tile.
///
/// `q` and `o` are `[batch, queries, heads · features]`, `k` and `v` are `[batch, keys, heads · features]`.
package struct ScaledDotProductAttention: Sendable {
  package let batch: Int
  package let queries: Int
  package let keys: Int
  package let heads: Int
  /// Features of one head.
  package let features: Int
  package let scale: Float
  /// Whether query `i` sees keys `0...i` only.
  package let causal: Bool

  package init(
    batch: Int, queries: Int, keys: Int, heads: Int, features: Int, scale: Float,
    causal: Bool = false
  ) {
    self.batch = batch
    self.queries = queries
    self.keys = keys
    self.heads = heads
    self.features = features
    self.scale = scale
    self.causal = causal
  }

  private var width: Int { heads * features }
  /// Rows of scores at a time: about a megabyte, so that a tile stays in the cache.
  private var tile: Int { min(queries, max(32, min(256, 262_144 / max(1, keys)))) }
  private var tiles: Int { (queries + tile - 1) / tile }

  /// - Returns: what the gradient needs beside operands and result; empty with a mask.
  package func forward(_ q: Buffer, _ k: Buffer, _ v: Buffer, into o: Buffer) -> Buffer {
    check(q, k, v, o)
    guard !causal else {
      forwardByTiles(q, k, v, into: o)
      return Buffer(count: 0)
    }
    let logsum = Buffer(uninitialized: batch * heads * queries)
    fused.forward(q, k, v, into: o, logsum: logsum)
    return logsum
  }

  private var fused: FusedAttention {
    func operand(_ tokens: Int) -> FusedAttention.Operand {
      .init(
        offsets: (0..<batch * heads).map { $0 / heads * tokens * width + $0 % heads * features },
        tokenStride: width, featureStride: 1)
    }
    return FusedAttention(
      queries: queries, keys: keys, features: features, scale: scale, q: operand(queries), k: operand(keys),
      v: operand(keys), o: operand(queries))
  }

  private func forwardByTiles(_ q: Buffer, _ k: Buffer, _ v: Buffer, into o: Buffer) {
    Parallel.ranges(batch * heads * tiles, grain: grain) { range in
      let scores = Buffer(uninitialized: tile * keys)
      for index in range {
        let pair = index / tiles
        let first = index % tiles * tile
        let count = min(tile, queries - first)
        computeScores(q, k, pair: pair, first: first, count: count, into: scores)
        sd_softmax(scores.pointer, count, keys, keys, scale)
        MatrixProduct.multiplyInline(
          Matrix(scores, stride: keys), matrix(v, pair, tokens: keys),
          into: matrix(o, pair, tokens: queries, first: first), m: count, n: features, k: keys)
      }
    }
  }

  /// Gradients with respect to `q`, `k` and `v`; the probabilities are computed again.
  ///
  /// - Parameters:
  ///   - o: the result of ``forward``, and `logsum` what that returned.
  package func gradient(
    _ q: Buffer, _ k: Buffer, _ v: Buffer, o: Buffer, logsum: Buffer, dy: Buffer
  ) -> (dq: Buffer, dk: Buffer, dv: Buffer) {
    check(q, k, v, dy)
    return causal ? gradientByTiles(q, k, v, dy: dy) : fused.gradient(q, k, v, o: o, logsum: logsum, dy: dy)
  }

  /// One head of one sample is one thread's work, so that its sums over queries need no other thread.
  private func gradientByTiles(
    _ q: Buffer, _ k: Buffer, _ v: Buffer, dy: Buffer
  ) -> (dq: Buffer, dk: Buffer, dv: Buffer) {
    let dq = Buffer(uninitialized: q.count)
    let dk = Buffer(uninitialized: k.count)
    let dv = Buffer(uninitialized: v.count)
    Parallel.ranges(batch * heads, grain: max(1, grain / tiles / 2)) { range in
      let p = Buffer(uninitialized: tile * keys)
      let dp = Buffer(uninitialized: tile * keys)
      for pair in range {
        for index in 0..<tiles {
          let first = index * tile
          let count = min(tile, queries - first)
          let beta: Float = index == 0 ? 0 : 1
          let dyTile = matrix(dy, pair, tokens: queries, first: first)
          computeScores(q, k, pair: pair, first: first, count: count, into: p)
          sd_softmax(p.pointer, count, keys, keys, scale)
          MatrixProduct.multiplyInline(
            Matrix(p, stride: keys, transposed: true), dyTile,
            into: matrix(dv, pair, tokens: keys), m: keys, n: features, k: count, beta: beta)
          MatrixProduct.multiplyInline(
            dyTile, matrix(v, pair, tokens: keys, transposed: true), into: Matrix(dp, stride: keys),
            m: count, n: keys, k: features)
          sd_softmax_gradient(p.pointer, dp.pointer, dp.pointer, count, keys, scale)
          MatrixProduct.multiplyInline(
            Matrix(dp, stride: keys), matrix(k, pair, tokens: keys),
            into: matrix(dq, pair, tokens: queries, first: first), m: count, n: features, k: keys)
          MatrixProduct.multiplyInline(
            Matrix(dp, stride: keys, transposed: true),
            matrix(q, pair, tokens: queries, first: first),
            into: matrix(dk, pair, tokens: keys), m: keys, n: features, k: count, beta: beta)
        }
      }
    }
    return (dq, dk, dv)
  }

  /// Tiles below which a second thread costs more than it saves.
  private var grain: Int { max(1, 500_000 / max(1, tile * keys * features)) }

  private func computeScores(
    _ q: Buffer, _ k: Buffer, pair: Int, first: Int, count: Int, into scores: Buffer
  ) {
    MatrixProduct.multiplyInline(
      matrix(q, pair, tokens: queries, first: first),
      matrix(k, pair, tokens: keys, transposed: true), into: Matrix(scores, stride: keys),
      m: count, n: keys, k: features)
    guard causal else { return }
    for row in 0..<count where first + row + 1 < keys {
      let start = row * keys + first + row + 1
      for at in start..<(row + 1) * keys { scores.pointer[at] = -.infinity }
    }
  }

  /// One head of one sample: `[tokens, features]` inside `[batch, tokens, heads · features]`.
  private func matrix(
    _ x: Buffer, _ pair: Int, tokens: Int, first: Int = 0, transposed: Bool = false
  ) -> Matrix {
    Matrix(
      x, offset: (pair / heads * tokens + first) * width + pair % heads * features,
      stride: width, transposed: transposed)
  }

  private func check(_ q: Buffer, _ k: Buffer, _ v: Buffer, _ o: Buffer) {
    precondition(
      q.count == batch * queries * width && k.count == batch * keys * width
        && v.count == k.count && o.count == q.count,
      "attention \(batch)×\(heads) heads of \(features): \(queries) queries, \(keys) keys: buffers differ"
    )
  }
}
