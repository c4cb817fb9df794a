import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// Contents with every kind of value and every special shape; `scale` changes the numbers.
func sampleContents(scale: Float = 1) -> CheckpointContents {
  let ramp = Buffer((0..<6 * 35).map { Float($0) * scale })
  return CheckpointContents(
    attributes: [
      "step": .integer(-7), "loss": .double(0.1), "recipe": .string("{\"name\": \"ü\"}"),
      "empty": .string(""), "long": .string(String(repeating: "x", count: 100_000)),
    ],
    arrays: [
      "parameters/down_blocks.0.resnets.0.conv1.weight": .init(ramp, shape: [6, 5, 7]),
      "parameters/scalar": .init(Buffer([.infinity]), shape: []),
      "parameters/nothing": .init(Buffer([]), shape: [3, 0]),
      "optimizer/second/x": .init(shape: [2], .doubles([1e-300, -0.0])),
      "indices": .init(shape: [2, 2], .integers([.min, -1, 0, .max])),
      "random": .init(shape: [3], .bytes([0, 128, 255])),
      "no-bytes": .init(shape: [0], .bytes([])),
    ])
}

@Suite struct CheckpointFileTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  @Test func roundTrip() throws {
    let path = scratch.file("state.h5")
    let written = sampleContents()
    try CheckpointFile.write(written, to: path)
    let read = try CheckpointFile.read(from: path)
    #expect(read.attributes == written.attributes)
    #expect(Set(read.arrays.keys) == Set(written.arrays.keys))
    for (name, array) in written.arrays {
      let other = try #require(read.arrays[name])
      #expect(other.shape == array.shape)
      #expect(other.floats?.bytes == array.floats?.bytes)
      #expect(other.doubles == array.doubles)
      #expect(other.integers == array.integers)
      #expect(other.bytes == array.bytes)
    }
    #expect(try scratch.contents == ["state.h5"])
  }

  @Test func nothingAtAll() throws {
    let path = scratch.file("state.h5")
    try CheckpointFile.write(CheckpointContents(), to: path)
    let read = try CheckpointFile.read(from: path)
    #expect(read.attributes.isEmpty && read.arrays.isEmpty)
  }

  /// More than one chunk, more than one piece for the checksum, extents no power of two.
  @Test func largeArray() throws {
    let path = scratch.file("state.h5")
    let large = Buffer((0..<3001 * 1777).map { Float($0) })
    try CheckpointFile.write(
      CheckpointContents(arrays: ["x": .init(large, shape: [3001, 1777])]), to: path)
    let read = try CheckpointFile.read(from: path)
    #expect(read.arrays["x"]?.shape == [3001, 1777])
    #expect(read.arrays["x"]?.floats?.bytes == large.bytes)
  }

  @Test func sameBytesForSameContents() throws {
    try CheckpointFile.write(sampleContents(), to: scratch.file("a.h5"))
    // HDF5 stores times in seconds, if it does.
    Thread.sleep(forTimeInterval: 1.1)
    try CheckpointFile.write(sampleContents(scale: 2), to: scratch.file("b.h5"))
    try CheckpointFile.write(sampleContents(), to: scratch.file("b.h5"))
    #expect(bytes(of: scratch.file("a.h5")) == bytes(of: scratch.file("b.h5")))
  }

  @Test func readableAsPlainHDF5() throws {
    let path = scratch.file("state.h5")
    try CheckpointFile.write(sampleContents(), to: path)
    let file = try HDF5File(reading: path)
    #expect(try file.groups() == ["optimizer", "parameters"])
    #expect(try file.attributes()["checkpoint.arrays"] == .integer(7))
    #expect(try file.doubles("optimizer/second/x").values == [1e-300, -0.0])
  }

  @Test func truncations() throws {
    let path = scratch.file("state.h5")
    try CheckpointFile.write(sampleContents(), to: path)
    let whole = bytes(of: path)
    for count in Array(stride(from: 0, to: whole.count, by: 997)) + [whole.count - 1] {
      let cut = try scratch.write("cut.h5", whole.prefix(count))
      let expected =
        count < 512
        ? "expected at least 512 bytes, found \(count) bytes"
        : "expected bytes \(whole.count), found \(count)"
      #expect(
        message { _ = try CheckpointFile.read(from: cut) }
          == "\(cut): not a complete checkpoint: \(expected); use an older checkpoint")
    }
  }

  @Test func flippedBits() throws {
    let path = scratch.file("state.h5")
    try CheckpointFile.write(sampleContents(), to: path)
    let whole = bytes(of: path)
    var random = SplitMix(seed: 7)
    for round in 0..<1000 {
      var flipped = whole
      // The first rounds hit the first block, the others any place.
      let byte = round < 512 ? round : Int.random(in: 0..<whole.count, using: &random)
      flipped[byte] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      let path = try scratch.write("flipped.h5", flipped)
      let message = message { _ = try CheckpointFile.read(from: path) }
      #expect(message?.hasPrefix(path) == true && message?.contains("\n") == false)
    }
    var flipped = whole
    flipped[5000] ^= 1
    let other = try scratch.write("flipped.h5", flipped)
    #expect(
      message { _ = try CheckpointFile.read(from: other) }?
        .hasPrefix("\(other): file: damaged: expected crc32 ") == true)
  }

  @Test func otherFiles() throws {
    #expect(
      message { _ = try CheckpointFile.read(from: "/nowhere") }
        == "/nowhere: cannot be read: No such file or directory")
    let path = try scratch.write("x.h5", Data(repeating: 7, count: 600))
    #expect(
      message { _ = try CheckpointFile.read(from: path) }
        == "\(path): expected a checkpoint that starts with 'sdtune checkpoint 1', "
        + "found other bytes")
  }

  @Test func zeroByteInText() {
    let path = scratch.file("state.h5")
    let contents = CheckpointContents(attributes: ["name": .string("a\0b")])
    #expect(
      message { try CheckpointFile.write(contents, to: path) }
        == "\(path): cannot be written: attribute name contains a zero byte; "
        + "the previous file, if any, is untouched")
  }

  @Test func impossibleNames() async {
    await #expect(processExitsWith: .failure) {
      try CheckpointFile.write(
        CheckpointContents(arrays: ["a//b": .init(shape: [0], .bytes([]))]), to: NSTemporaryDirectory() + "/never")
    }
    await #expect(processExitsWith: .failure) {
      _ = CheckpointArray(Buffer([1]), shape: [2])
    }
  }
}
