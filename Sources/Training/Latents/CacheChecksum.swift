internal import Checkpoints
internal import Kernels

/// The checksum of all that a cache of latents says but its latents, whose rows have their own in `latents/WxH/checks`.
struct CacheChecksum {
  /// The attribute that holds it.
  static let attribute = "latents.crc32"
  private var sum = CRC32()

  private mutating func add(_ line: String) { sum.update(Array((line + "\n").utf8).span.bytes) }

  private mutating func add(_ numbers: [Int]) { sum.update(numbers.span.bytes) }

  mutating func add(_ group: String, keys: [String], facts: [Int], checks: [Int]) {
    add(group)
    for key in keys { add(key) }
    add(facts)
    add(checks)
  }

  mutating func add(_ samples: [LatentCache.Sample], _ captions: [String], tokens: [[Int]]) {
    for sample in samples {
      add(sample.file)
      add(sample.row9)
    }
    for caption in captions { add(caption) }
    for numbers in tokens { add(numbers) }
  }

  mutating func add(_ attributes: [String: AttributeValue]) {
    for (name, value) in attributes.sorted(by: { $0.key < $1.key }) where name != Self.attribute {
      add("\(name) \(value)")
    }
  }

  var value: Int { Int(sum.value) }

  /// Of a row of latents.
  static func of(_ row: Buffer) -> Int {
    var sum = CRC32()
    row.withSpan { sum.update($0.bytes) }
    return Int(sum.value)
  }
}
