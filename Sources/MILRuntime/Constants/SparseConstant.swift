internal import Kernels

/// Zeros, and the values of the places that a mask marks: `constexpr_sparse_to_dense`.
struct SparseConstant: PackedConstant {
  let count: Int
  private let mask: BitMask
  private let values: any PackedConstant

  init(mask: BitMask, values: any PackedConstant) {
    precondition(values.count == mask.ones, "\(values.count) values for \(mask.ones) places")
    count = mask.count
    self.mask = mask
    self.values = values
  }

  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    let first = mask.rank(range.lowerBound)
    let last = mask.rank(range.upperBound)
    let dense = Buffer(uninitialized: last - first)
    values.decode(first..<last, into: dense, at: 0)
    let row = Buffer(count: range.count) { row in
      var next = 0
      for index in range {
        row[index - range.lowerBound] = mask[index] ? dense[next] : 0
        if mask[index] { next += 1 }
      }
    }
    y.copy(from: row, 0..<row.count, at: offset)
  }

  func letGo() { values.letGo() }
}

/// A bit for every element, with counts of the ones before every 64th.
struct BitMask: Sendable {
  let count: Int
  let ones: Int
  private let words: [UInt64]
  private let before: [Int]

  /// - Parameter bytes: one bit an element, least significant first; at least `count` bits
  init(_ bytes: StoredBytes, count: Int) {
    let words = bytes.withBytes { bytes in
      (0..<(count + 63) / 64).map { word in
        var bits: UInt64 = 0
        for byte in word * 8..<min(bytes.byteCount, word * 8 + 8) {
          let value = bytes.unsafeLoadUnaligned(fromByteOffset: byte, as: UInt8.self)
          bits |= UInt64(value) << UInt64(byte % 8 * 8)
        }
        let valid = min(64, count - word * 64)
        return valid == 64 ? bits : bits & (1 << UInt64(valid) - 1)
      }
    }
    self.init(words, count: count)
  }

  init(_ bits: [Bool]) {
    var words = [UInt64](repeating: 0, count: (bits.count + 63) / 64)
    for (index, bit) in bits.enumerated() where bit { words[index / 64] |= 1 << UInt64(index % 64) }
    self.init(words, count: bits.count)
  }

  private init(_ words: [UInt64], count: Int) {
    self.count = count
    self.words = words
    var before: [Int] = []
    before.reserveCapacity(words.count + 1)
    var ones = 0
    for word in words {
      before.append(ones)
      ones += word.nonzeroBitCount
    }
    before.append(ones)
    self.before = before
    self.ones = ones
  }

  subscript(index: Int) -> Bool { words[index / 64] >> UInt64(index % 64) & 1 != 0 }

  /// Ones before `index`.
  func rank(_ index: Int) -> Int {
    let (word, bit) = index.quotientAndRemainder(dividingBy: 64)
    return bit == 0
      ? before[word] : before[word] + (words[word] & (1 << UInt64(bit) - 1)).nonzeroBitCount
  }
}
