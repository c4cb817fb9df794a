import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// Reading what h5py wrote; `Fixtures/make_fixtures.py` made the file.
@Suite struct HDF5FileTests {
  let path = fixture("plain.h5")

  @Test func structure() throws {
    let file = try HDF5File(reading: path)
    #expect(try file.groups() == ["train", "val"])
    #expect(try file.datasets() == ["empty_input_ids"])
    #expect(try file.datasets(in: "train") == ["file_name", "input_ids", "latents"])
    #expect(try file.shape(of: "train/latents") == [2, 4, 3, 3])
    #expect(try file.shape(of: "train/absent") == nil)
    #expect(
      try file.attributes() == [
        "model": .string("emoji-sd"), "resolution": .integer(64),
        "scaling_factor": .double(0.43492), "fixed": .string("text"),
      ])
    #expect(try file.attributes(of: "train/latents") == ["unit": .string("latent")])
  }

  @Test func numbers() throws {
    let file = try HDF5File(reading: path)
    let ramp = (0..<72).map { Float($0 - 3) / 4 }
    #expect(try file.floats("train/latents").buffer.elements == ramp)
    #expect(try file.doubles("train/latents").values == ramp.map { Double($0) })
    #expect(try file.floats("val/latents").buffer.elements == Array(ramp[..<36]))
    #expect(try file.integers("train/input_ids").values == [0, 1, 2, 3, 4, -5])
    #expect(try file.floats("train/input_ids").buffer.elements == [0, 1, 2, 3, 4, -5])
    #expect(try file.integers("empty_input_ids").values == [9, 9, 9])
    #expect(try file.bytes("empty_input_ids").values == [9, 9, 9])
  }

  @Test func refusals() throws {
    let file = try HDF5File(reading: path)
    #expect(message { _ = try file.floats("nothing") } == "\(path): no dataset nothing")
    #expect(message { _ = try file.datasets(in: "nothing") } == "\(path): no group nothing")
    #expect(
      message { _ = try file.integers("train/latents") }
        == "\(path): train/latents: expected integers, found float32")
    #expect(
      message { _ = try file.floats("train/file_name") }
        == "\(path): train/file_name: expected numbers, found other values")
    let text = fixture("make_fixtures.py")
    #expect(
      message { _ = try HDF5File(reading: text) }
        == "\(text): expected an HDF5 file, found other or damaged content")
    #expect(
      message { _ = try HDF5File(reading: "/nowhere") }
        == "/nowhere: cannot be read: No such file or directory")
  }

  /// Latents that lie in another file, or nowhere.
  @Test(arguments: ["link", "external", "virtual", "circle"])
  func otherFilesAreNotRead(name: String) {
    let path = fixture("hostile/\(name).h5")
    let error = message { _ = try HDF5File(reading: path).floats("val/latents") }
    #expect(error?.hasPrefix("\(path): ") ?? false, "\(error ?? "no error")")
    #expect(error?.contains("val/latents") ?? false, "\(error ?? "no error")")
  }

  /// Every file in `Fixtures/hostile` is refused in seconds, and nothing crashes.
  @Test(arguments: try! FileManager.default.contentsOfDirectory(atPath: fixture("hostile")).sorted())
  func damageIsRefused(name: String) {
    let path = fixture("hostile/" + name)
    let error = message {
      let file = try HDF5File(reading: path)
      for split in ["train", "val"] {
        _ = try file.floats(split + "/latents")
        _ = try file.integers(split + "/input_ids")
      }
    }
    #expect(error?.hasPrefix(path) ?? false, "\(error ?? "no error")")
  }

  @Test func manyThreads() throws {
    DispatchQueue.concurrentPerform(iterations: 64) { _ in
      let sum = try? HDF5File(reading: path).floats("train/latents").buffer.elements.reduce(0, +)
      #expect(sum == 585)
    }
  }
}
