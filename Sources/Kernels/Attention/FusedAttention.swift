internal import CKernels

/// Attention of many heads whose operands lie anywhere in their buffers, fused: scores exist a block at a time.
///
///     o = softmax(scale q kᵀ) v        for each head
package struct FusedAttention: Sendable {
  /// Where the heads of one operand lie: element (token, feature) of head `i` at
  /// `offsets[i] + token · tokenStride + feature · featureStride`.
  package struct Operand: Sendable, Equatable {
    package let offsets: [Int]
    package let tokenStride: Int
    package let featureStride: Int

    package init(offsets: [Int], tokenStride: Int, featureStride: Int) {
      self.offsets = offsets
      self.tokenStride = tokenStride
      self.featureStride = featureStride
    }

    func fits(_ buffer: Buffer, tokens: Int, features: Int) -> Bool {
      let reach = (tokens - 1) * tokenStride + (features - 1) * featureStride
      return (offsets.max() ?? 0) + reach < buffer.count && (offsets.min() ?? 0) >= 0
    }

    /// The same elements where they lay before a view of them was copied, or come to lie when it is filled; nil where
    /// tokens or features are no whole axis of the view.
    package func seen(through view: StridedView, tokens: Int, features: Int) -> Operand? {
      let own = StridedView(shape: view.shape).strides
      func axis(_ length: Int, _ stride: Int) -> Int? {
        view.shape.indices.first { own[$0] == stride && view.shape[$0] == length }
      }
      guard let token = axis(tokens, tokenStride), let feature = axis(features, featureStride), token != feature,
        view.strides.allSatisfy({ $0 > 0 }),
        offsets.allSatisfy({ offset in
          offset >= 0 && offset < view.count
            && [token, feature].allSatisfy { offset / own[$0] % view.shape[$0] == 0 }
        })
      else { return nil }
      let places = offsets.map { offset in
        view.shape.indices.reduce(view.offset) { $0 + offset / own[$1] % view.shape[$1] * view.strides[$1] }
      }
      return Operand(offsets: places, tokenStride: view.strides[token], featureStride: view.strides[feature])
    }

    var layout: sd_attention_layout {
      sd_attention_layout(token_stride: tokenStride, feature_stride: featureStride)
    }
  }

  package let queries, keys, features: Int
  package let scale: Float
  package let q, k, v, o: Operand

  /// - Precondition: as many heads in each operand, and at least one query, key and feature.
  package init(
    queries: Int, keys: Int, features: Int, scale: Float, q: Operand, k: Operand, v: Operand, o: Operand
  ) {
    precondition(
      queries > 0 && keys > 0 && features > 0
        && [k, v, o].allSatisfy { $0.offsets.count == q.offsets.count },
      "attention of \(queries) queries, \(keys) keys, \(features) features")
    self.queries = queries
    self.keys = keys
    self.features = features
    self.scale = scale
    self.q = q
    self.k = k
    self.v = v
    self.o = o
  }

  /// All heads of some; nil unless they differ by where they lie alone.
  package init?(joining parts: [FusedAttention]) {
    guard let first = parts.first else { return nil }
    func joined(_ operand: (FusedAttention) -> Operand) -> Operand {
      Operand(
        offsets: parts.flatMap { operand($0).offsets }, tokenStride: operand(first).tokenStride,
        featureStride: operand(first).featureStride)
    }
    self.init(
      queries: first.queries, keys: first.keys, features: first.features, scale: first.scale, q: joined(\.q),
      k: joined(\.k), v: joined(\.v), o: joined(\.o))
    guard
      parts.allSatisfy({ part in
        (part.queries, part.keys, part.features, part.scale) == (queries, keys, features, scale)
          && zip([part.q, part.k, part.v, part.o], [q, k, v, o]).allSatisfy {
            ($0.tokenStride, $0.featureStride) == ($1.tokenStride, $1.featureStride)
          }
      })
    else { return nil }
  }

  private var heads: Int { q.offsets.count }

  private var head: sd_attention_head {
    sd_attention_head(
      queries: queries, keys: keys, features: features, query_layout: q.layout, key_layout: k.layout,
      value_layout: v.layout, output_layout: o.layout, scale: scale)
  }

  private func check(_ q: Buffer, _ k: Buffer, _ v: Buffer, _ o: Buffer) {
    precondition(
      self.q.fits(q, tokens: queries, features: features) && self.k.fits(k, tokens: keys, features: features)
        && self.v.fits(v, tokens: keys, features: features) && self.o.fits(o, tokens: queries, features: features),
      "attention of \(heads) heads: \(queries) queries, \(keys) keys: outside of the buffers")
  }

  /// - Parameter logsum: takes the logarithm of each query's sum of exponentials, `[heads, queries]`, for the gradient.
  /// - Complexity: 4 · heads · queries · keys · features FLOPs.
  package func forward(_ q: Buffer, _ k: Buffer, _ v: Buffer, into o: Buffer, logsum: Buffer? = nil) {
    check(q, k, v, o)
    precondition(logsum.map { $0.count == heads * queries } ?? true, "attention: logsum")
    // Every piece turns keys and values around first: not too many pieces.
    let pieces = max(1, min(2 * Parallel.threads / max(1, heads), queries / 192))
    let grain = max(1, 500_000 * pieces / max(1, queries * keys * features))
    let parts = (0..<heads * pieces).cut(length: min(grain, max(1, heads * pieces / Parallel.threads)))
    Parallel.forEach(parts.count) { part in
      let scratch = Buffer(uninitialized: sd_attention_forward_scratch(keys, features))
      for index in parts[part] {
        let (head, piece) = (index / pieces, index % pieces)
        sd_attention_forward(
          self.head, q.pointer + self.q.offsets[head], k.pointer + self.k.offsets[head],
          v.pointer + self.v.offsets[head], o.pointer + self.o.offsets[head],
          logsum.map { $0.pointer + head * queries }, queries * piece / pieces, queries * (piece + 1) / pieces,
          scratch.pointer)
      }
    }
  }

  /// Gradients with respect to `q`, `k` and `v`, from the result and what ``forward`` left in `logsum`; scores are
  /// computed again.
  ///
  /// One head is one thread's work, so that its sums over queries need no other thread.
  package func gradient(
    _ q: Buffer, _ k: Buffer, _ v: Buffer, o: Buffer, logsum: Buffer, dy: Buffer
  ) -> (dq: Buffer, dk: Buffer, dv: Buffer) {
    check(q, k, v, o)
    precondition(dy.count == o.count && logsum.count == heads * queries, "attention: gradient of \(dy.count)")
    let dq = Buffer(uninitialized: q.count)
    let dk = Buffer(uninitialized: k.count)
    let dv = Buffer(uninitialized: v.count)
    Parallel.ranges(heads, grain: max(1, 200_000 / max(1, queries * keys * features))) { range in
      let scratch = Buffer(uninitialized: sd_attention_gradient_scratch(queries, keys, features))
      for head in range {
        let (qAt, kAt, vAt, oAt) = (
          self.q.offsets[head], self.k.offsets[head], self.v.offsets[head], self.o.offsets[head]
        )
        sd_attention_gradient(
          self.head, q.pointer + qAt, k.pointer + kAt, v.pointer + vAt, o.pointer + oAt,
          logsum.pointer + head * queries, dy.pointer + oAt, dq.pointer + qAt, dk.pointer + kAt, dv.pointer + vAt,
          scratch.pointer)
      }
    }
    return (dq, dk, dv)
  }
}
