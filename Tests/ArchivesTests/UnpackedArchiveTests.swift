import Archives
import Foundation
import TestSupport
import Testing

/// Zip archives of Core ML models, as applications' are packed.
@Suite struct UnpackedArchiveTests {
  /// A folder with these files, packed.
  private func archive(_ files: [String: String], _ scratch: ScratchFolder, named top: String = "models") throws
    -> String
  {
    let folder = scratch.file("source")
    for (name, text) in files {
      let place = URL(filePath: "\(folder)/\(name)")
      try FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: place)
    }
    let path = scratch.file("models.zip")
    try ZipWriter.write(folder, named: top, to: path)
    return path
  }

  private static let models = [
    "Unet.mlmodelc/coremldata.bin": "u", "VAEDecoder.mlmodelc/coremldata.bin": "v", "vocab.json": "{}",
    "ünet/x": String(repeating: "x", count: 70_000),
  ]

  @Test func unpacksBeside() throws {
    let scratch = try ScratchFolder()
    let path = try archive(Self.models, scratch)
    let unpacked = try #require(try UnpackedArchive(path))
    #expect(!unpacked.isCurrent)
    let folder = try unpacked.unpacked()
    #expect(folder == path + ".unpacked/models")
    for (name, text) in Self.models {
      #expect(try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) == text)
    }
    #expect(unpacked.isCurrent)
    // Nothing is done twice, and another archive under the same name is noticed.
    try Data("kept".utf8).write(to: URL(filePath: folder + "/vocab.json"))
    #expect(
      try String(contentsOfFile: #require(try UnpackedArchive(path)).unpacked() + "/vocab.json", encoding: .utf8)
        == "kept")
    _ = try archive(["vocab.json": "{\"a\": 1}"], scratch)
    let other = try #require(try UnpackedArchive(path))
    #expect(!other.isCurrent)
    #expect(try String(contentsOfFile: other.unpacked() + "/vocab.json", encoding: .utf8) == "{\"a\": 1}")
    #expect(try scratch.contents == ["models.zip", "models.zip.unpacked", "source"])
  }

  /// A package alone is found whatever folders are around it.
  @Test func innermostFolder() throws {
    let scratch = try ScratchFolder()
    let path = try archive(["a/Unet.mlpackage/Manifest.json": "{}", "a/Unet.mlpackage/Data/x": ""], scratch)
    #expect(try #require(try UnpackedArchive(path)).unpacked() == path + ".unpacked/models/a/Unet.mlpackage")
  }

  /// What lies beside a model does not hide it, and of several the folder is given.
  @Test func whatLiesBeside() throws {
    let scratch = try ScratchFolder()
    let path = try archive(
      ["Unet.mlpackage/Manifest.json": "{}", "Unet.mlpackage/Data/a/model.mil": "", "README.md": ""], scratch)
    #expect(try #require(try UnpackedArchive(path)).unpacked() == path + ".unpacked/models/Unet.mlpackage")
    let several = try archive(["VAEDecoder.mlmodelc/coremldata.bin": ""], scratch)
    #expect(try #require(try UnpackedArchive(several)).unpacked() == several + ".unpacked/models")
  }

  /// Names as bsdtar writes them, and parts of unpackings that were killed.
  @Test func dotsAndWhatWasLeft() throws {
    let scratch = try ScratchFolder()
    let path = try archive(Self.models, scratch, named: "./models")
    // No process has this number: it is above what Linux gives out.
    let left = path + ".unpacked.partial-99999999"
    try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
    #expect(try #require(try UnpackedArchive(path)).unpacked() == path + ".unpacked/models")
    #expect(!FileManager.default.fileExists(atPath: left))
  }

  /// Names from archives do not reach the terminal as they are.
  @Test func controlCharacters() throws {
    let scratch = try ScratchFolder()
    let path = try archive(["Manifest.json": "{}"], scratch, named: "../\u{1B}[31mred\nb")
    let error = #expect(throws: ArchiveError.self) { try #require(try UnpackedArchive(path)).unpacked() }
    #expect("\(error as Any)".unicodeScalars.allSatisfy { $0.value >= 32 })
  }

  @Test func equalFoldersGiveEqualArchives() throws {
    let scratch = try ScratchFolder()
    let first = try Data(contentsOf: URL(filePath: archive(Self.models, scratch)))
    #expect(try Data(contentsOf: URL(filePath: archive(Self.models, scratch))) == first)
  }

  /// Archives of other things, torch's files among them, are left alone.
  @Test func otherFiles() throws {
    let scratch = try ScratchFolder()
    let path = try archive(["archive/data.pkl": "x"], scratch)
    #expect(try UnpackedArchive(path) == nil)
    #expect(try UnpackedArchive(scratch.path) == nil)
    #expect(try UnpackedArchive(scratch.write("a.zip", "text")) == nil)
    #expect(try UnpackedArchive(scratch.file("none")) == nil)
  }

  /// Whatever an archive says, nothing is written outside of its folder.
  @Test(arguments: ["../outside", "a/../../outside", "/sdtune-outside"]) func leavesNothingOutside(name: String)
    throws
  {
    let scratch = try ScratchFolder()
    let path = try archive(["Manifest.json": "{}", "x": "x"], scratch, named: name)
    let inner = scratch.file("inner")
    try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
    try FileManager.default.moveItem(atPath: path, toPath: inner + "/m.zip")
    #expect(throws: ArchiveError.self) { try #require(try UnpackedArchive(inner + "/m.zip")).unpacked() }
    #expect(try FileManager.default.contentsOfDirectory(atPath: inner) == ["m.zip"])
    #expect(!FileManager.default.fileExists(atPath: scratch.file("outside")))
    #expect(!FileManager.default.fileExists(atPath: "/sdtune-outside"))
  }

  /// What would fill a disk is refused.
  @Test func bombs() throws {
    let scratch = try ScratchFolder()
    let path = try archive(["Manifest.json": String(repeating: " ", count: 40_000_000)], scratch)
    let error = #expect(throws: ArchiveError.self) { try #require(try UnpackedArchive(path)).unpacked() }
    #expect("\(error as Any)".contains("times its size"))
    #expect(try scratch.contents == ["models.zip", "source"])
  }

  /// Files of the Hugging Face cache are links, which are small themselves.
  @Test func links() throws {
    let scratch = try ScratchFolder()
    let path = try archive(["Manifest.json": String(repeating: " ", count: 20_000_000)], scratch)
    try FileManager.default.moveItem(atPath: path, toPath: scratch.file("blob"))
    // Padded so that it is no bomb by its own size.
    let random = Data((0..<200_000).map { _ in UInt8.random(in: 0...255) })
    try random.write(to: URL(filePath: scratch.file("source/noise")))
    try ZipWriter.write(scratch.file("source"), named: "models", to: scratch.file("blob"))
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: scratch.file("blob"))
    #expect(try #require(try UnpackedArchive(path)).unpacked() == path + ".unpacked/models")
  }

  @Test func truncated() throws {
    let scratch = try ScratchFolder()
    let path = try archive(Self.models, scratch)
    let bytes = try Data(contentsOf: URL(filePath: path))
    for count in stride(from: 4, to: bytes.count, by: 7) {
      try bytes.prefix(count).write(to: URL(filePath: path))
      // Anything but a crash, and nothing left half done.
      if let archive = try? UnpackedArchive(path) { _ = try? archive.unpacked() }
    }
    #expect(try scratch.contents.allSatisfy { !$0.contains("partial") })
  }
}
