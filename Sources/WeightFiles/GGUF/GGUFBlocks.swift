internal import Files

/// How GGUF stores a tensor: blocks of elements that share scales, as ggml defines them.
struct GGUFBlocks: Sendable {
  /// ggml's name.
  let name: String
  /// Elements in a block.
  let count: Int
  let bytes: Int
  /// Writes a block's elements.
  let decode: @Sendable (_ block: RawSpan, _ y: inout [Float]) -> Void

  /// The types that are read, by their numbers in a file.
  static let known: [UInt32: GGUFBlocks] = [
    2: GGUFBlocks(name: "Q4_0", count: 32, bytes: 18) { block, y in
      let d = block.half(0)
      for i in 0..<32 { y[i] = d * Float(block.nibble(2, i) - 8) }
    },
    3: GGUFBlocks(name: "Q4_1", count: 32, bytes: 20) { block, y in
      let (d, m) = (block.half(0), block.half(2))
      for i in 0..<32 { y[i] = d * Float(block.nibble(4, i)) + m }
    },
    6: GGUFBlocks(name: "Q5_0", count: 32, bytes: 22) { block, y in
      let (d, high) = (block.half(0), block.element(0, at: 2, as: UInt32.self))
      for i in 0..<32 { y[i] = d * Float((block.nibble(6, i) | Int(high >> UInt32(i) & 1) << 4) - 16) }
    },
    7: GGUFBlocks(name: "Q5_1", count: 32, bytes: 24) { block, y in
      let (d, m, high) = (block.half(0), block.half(2), block.element(0, at: 4, as: UInt32.self))
      for i in 0..<32 { y[i] = d * Float(block.nibble(8, i) | Int(high >> UInt32(i) & 1) << 4) + m }
    },
    8: GGUFBlocks(name: "Q8_0", count: 32, bytes: 34) { block, y in
      let d = block.half(0)
      for i in 0..<32 { y[i] = d * Float(Int8(bitPattern: block.byte(2 + i))) }
    },
    10: GGUFBlocks(name: "Q2_K", count: 256, bytes: 84) { block, y in
      let (d, least) = (block.half(80), block.half(82))
      for i in 0..<256 {
        let scale = block.byte(i / 16)
        let q = block.byte(16 + i / 128 * 32 + i % 32) >> UInt8(2 * (i % 128 / 32)) & 3
        y[i] = d * Float(scale & 15) * Float(q) - least * Float(scale >> 4)
      }
    },
    11: GGUFBlocks(name: "Q3_K", count: 256, bytes: 110) { block, y in
      let d = block.half(108)
      for i in 0..<256 {
        let group = i / 16
        let low = group < 8 ? block.byte(96 + group) & 15 : block.byte(96 + group - 8) >> 4
        let scale = Int(low) | Int(block.byte(104 + group % 4) >> UInt8(2 * (group / 4)) & 3) << 4
        let q = Int(block.byte(32 + i / 128 * 32 + i % 32) >> UInt8(2 * (i % 128 / 32)) & 3)
        let isWhole = block.byte(i % 32) >> UInt8(i / 32) & 1 == 1
        y[i] = d * Float(scale - 32) * Float(isWhole ? q : q - 4)
      }
    },
    12: GGUFBlocks(name: "Q4_K", count: 256, bytes: 144) { block, y in
      let (d, least) = (block.half(0), block.half(2))
      for i in 0..<256 {
        let (scale, offset) = block.scaleAndOffset(4, i / 32)
        y[i] = d * Float(scale) * Float(block.nibbleOfPair(16, i)) - least * Float(offset)
      }
    },
    13: GGUFBlocks(name: "Q5_K", count: 256, bytes: 176) { block, y in
      let (d, least) = (block.half(0), block.half(2))
      for i in 0..<256 {
        let (scale, offset) = block.scaleAndOffset(4, i / 32)
        let q = block.nibbleOfPair(48, i) | Int(block.byte(16 + i % 32) >> UInt8(i / 32) & 1) << 4
        y[i] = d * Float(scale) * Float(q) - least * Float(offset)
      }
    },
    14: GGUFBlocks(name: "Q6_K", count: 256, bytes: 210) { block, y in
      let d = block.half(208)
      for i in 0..<256 {
        let (half, rest) = (i / 128, i % 128)
        let low = block.byte(half * 64 + rest % 64) >> UInt8(4 * (rest / 64)) & 15
        let high = block.byte(128 + half * 32 + i % 32) >> UInt8(2 * (rest / 32)) & 3
        let scale = Int8(bitPattern: block.byte(192 + i / 16))
        y[i] = d * Float(scale) * Float(Int(low | high << 4) - 32)
      }
    },
  ]
}

extension RawSpan {
  fileprivate func byte(_ offset: Int) -> UInt8 { element(offset, as: UInt8.self) }

  fileprivate func element<Number: BitwiseCopyable>(_ index: Int, at offset: Int, as type: Number.Type) -> Number {
    extracting(droppingFirst: offset).element(index, as: type)
  }

  fileprivate func half(_ offset: Int) -> Float {
    Float(Float16(bitPattern: element(0, at: offset, as: UInt16.self)))
  }

  /// Element `i` of 32 in 16 bytes: the low halves first, then the high ones.
  fileprivate func nibble(_ offset: Int, _ i: Int) -> Int {
    Int(i < 16 ? byte(offset + i) & 15 : byte(offset + i - 16) >> 4)
  }

  /// Element `i` of 256: each 32 bytes hold 32 low halves, then 32 high ones.
  fileprivate func nibbleOfPair(_ offset: Int, _ i: Int) -> Int {
    Int(byte(offset + i / 64 * 32 + i % 32) >> (i / 32 % 2 == 0 ? 0 : 4) & 15)
  }

  /// Of a group of 32: six bits each, packed into twelve bytes.
  fileprivate func scaleAndOffset(_ offset: Int, _ group: Int) -> (scale: UInt8, offset: UInt8) {
    guard group >= 4 else { return (byte(offset + group) & 63, byte(offset + group + 4) & 63) }
    let (low, first, second) = (byte(offset + group + 4), byte(offset + group - 4), byte(offset + group))
    return (low & 15 | (first >> 6) << 4, low >> 4 | (second >> 6) << 4)
  }
}
