import Kernels
import Testing

/// Memory of buffers that come and go.
struct BufferTests {
  /// Blocks share one range of addresses: none may reach into another, whatever was there before.
  @Test func buffersOfAllSizesKeepWhatIsTheirs() {
    Parallel.forEach(8) { thread in
      var state = UInt64(thread + 1)
      func random(_ limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % limit
      }
      var held: [(buffer: Buffer, mark: Float)] = []
      for round in 0..<2000 {
        if held.count < 24, random(3) > 0 {
          // From 64 bytes to 16 MB, as many small as large.
          let buffer = Buffer(uninitialized: 1 + random(1 << (4 + random(19))))
          let mark = Float(thread * 2000 + round)
          for index in [0, buffer.count / 2, buffer.count - 1] { buffer.pointer[index] = mark }
          held.append((buffer, mark))
        } else if !held.isEmpty {
          let (buffer, mark) = held.remove(at: random(held.count))
          for index in [0, buffer.count / 2, buffer.count - 1] { #expect(buffer[index] == mark) }
          if random(100) == 0 { BufferPool.releaseIdle() }
        }
      }
      for (buffer, mark) in held { #expect(buffer[buffer.count - 1] == mark) }
    }
  }
}
