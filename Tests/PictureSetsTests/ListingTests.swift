import Foundation
import PictureSets
import TestSupport
import Testing

/// Folders and archives in every layout, beside what should be found in them.
@Suite struct ListingTests {
  @Test func everyLayoutIsUnderstood() throws {
    let cases = try PictureFixtures.json("layouts.json")
    try #require(!cases.isEmpty)
    for (name, value) in cases.sorted(by: { $0.key < $1.key }) {
      let expected = try #require((value as? [String: Any])?["proposed"] as? [String: Any])
      let result = Result { () throws(PictureSetError) in try PictureSet(PictureFixtures.path("layouts/\(name)")) }
      let found = expected["error"] == nil ? try differences(result.get(), expected) : refusal(result, expected)
      for line in found { Issue.record("\(name): \(line)") }
      #expect(ParityCase("picture/layout/\(name)", error: Double(found.count), bound: 0).holds)
    }
  }

  private func refusal(
    _ result: Result<PictureSet, PictureSetError>, _ expected: [String: Any]
  ) -> [String] {
    guard case .failure(let error) = result else { return ["expected an error, found pictures"] }
    let line = "\(error)"
    // What the proposed line names between quotes, or as a number of a line, must be named.
    let wanted = (expected["error"] as? String ?? "")
    let parts = wanted.split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    let numbers = wanted.split(separator: " ").filter { Int($0.trimmingCharacters(in: .punctuationCharacters)) != nil }
    let missing = (parts + numbers.map(String.init)).filter { !line.contains($0.trimmingCharacters(in: ["\""])) }
    return missing.map { "'\(line)' does not name \($0)" } + (line.contains("\n") ? ["more than a line"] : [])
  }

  private func differences(_ set: PictureSet, _ expected: [String: Any]) throws -> [String] {
    let pictures = try #require(expected["pictures"] as? [[String: Any]])
    let wanted = pictures.map { picture in
      let size = (picture["original_size"] as? [Int]).map { "\($0)" } ?? "-"
      return
        "\(picture["file"] ?? "") | \(picture["caption"] as? String ?? "none") | \(picture["split"] ?? "") | "
        + "\(picture["repeats"] as? Int ?? 1) | \(size)"
    }.sorted()
    let found = set.samples.map { sample in
      "\(sample.file) | \(sample.captions.first ?? "none") | \(sample.split.rawValue) | \(sample.repeats) | "
        + (sample.originalSize.map { "\($0)" } ?? "-")
    }.sorted()
    var lines = found == wanted ? [] : ["expected \(wanted), found \(found)"]
    // Files that a proposed warning names must be named.
    let told = set.warnings.joined(separator: "\n")
    for warning in expected["warnings"] as? [String] ?? [] {
      let names = warning.split { " ,:;()".contains($0) }.filter {
        $0.contains(".") && !$0.hasPrefix(".") && !$0.hasPrefix("metadata")
      }
      lines += names.filter { !told.contains($0) }.map { "no warning names \($0): \(set.warnings)" }
    }
    if (expected["warnings"] as? [String])?.isEmpty == true, !set.warnings.isEmpty { lines.append("\(set.warnings)") }
    return lines
  }

  @Test func captionFilesAreRead() throws {
    let files = try #require(PictureFixtures.json("captions.json")["files"] as? [String: [String: Any]])
    try #require(!files.isEmpty)
    for (name, value) in files.sorted(by: { $0.key < $1.key }) {
      let expected = try #require(value["proposed"] as? [String: Any])
      let text = try #require(value["base64"] as? String)
      let bytes = [UInt8](try #require(Data(base64Encoded: text)))
      let result = Result { () throws(CaptionText.Failure) in try CaptionText.lines(bytes) }
      switch result {
      case .success(let lines):
        #expect(expected["error"] == nil, "\(name)")
        #expect(lines == expected["lines"] as? [String] ?? [], "\(name)")
        #expect(lines.isEmpty == (expected["missing"] as? Bool ?? false), "\(name)")
      case .failure(let error): #expect("\(error)" == expected["error"] as? String, "\(name)")
      }
    }
  }

  private func archive(_ name: String) throws -> PictureSet {
    try PictureSet(URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Archives/\(name)").path)
  }

  /// Names beyond ASCII in a zip; a tar made of `.`; a tar in which a name stands twice.
  @Test func archivesAsPeopleMakeThem() throws {
    #expect(try archive("names.zip").samples.map(\.file) == ["b.jpg", "日本/éa.png"])
    #expect(try archive("names.zip").samples.map(\.captions) == [[], ["a red dot"]])
    #expect(try archive("dot.tar").samples.map(\.file) == ["a.png", "b.jpg", "c.webp"])
    let twice = try archive("twice.tar")
    #expect(twice.samples.map(\.file) == ["b.jpg", "c.webp"] && twice.unusable.map(\.file) == ["a.png"])
  }

  @Test func sizesThatAreNoneAreNotTold() throws {
    let scratch = try ScratchFolder()
    try scratch.write("a.png", "")
    try scratch.write(
      "metadata.jsonl", #"{"file_name": "a.png", "text": "x", "original_width": 0, "original_height": 5}"#)
    #expect(try PictureSet(scratch.path).samples.map(\.originalSize) == [nil])
  }

  /// Years are no repeats, and a folder of zero repeats deep inside says nothing of the set.
  @Test func numbersOfFoldersAreRepeatsOnlyAtTheTop() throws {
    let scratch = try ScratchFolder()
    for folder in ["2024_summer", "money/00_symbols", "money/5_coins"] {
      try FileManager.default.createDirectory(atPath: scratch.file(folder), withIntermediateDirectories: true)
      try scratch.write("\(folder)/a.png", "")
    }
    let set = try PictureSet(scratch.path)
    #expect(set.layout == .captions && set.samples.map(\.repeats) == [1, 1, 1])
  }

  @Test func namesThatAreNotUTF8AreNamed() throws {
    let scratch = try ScratchFolder()
    try scratch.write("a.png", "")
    let name: [CChar] =
      (scratch.path + "/caf").utf8CString.dropLast() + [CChar(bitPattern: 0xE9)] + Array(".png".utf8CString)
    let descriptor = open(name, O_CREAT | O_WRONLY, 0o644)
    try #require(descriptor >= 0)
    close(descriptor)
    let set = try PictureSet(scratch.path)
    #expect(set.samples.map(\.file) == ["a.png"] && set.unusable.map(\.reason) == ["its name is not UTF-8"])
  }

  @Test func severalLinesAreSeveralCaptions() throws {
    let scratch = try ScratchFolder()
    try scratch.write("a.png", "")
    try scratch.write("a.txt", "one\n\n two \n")
    var options = PictureSet.Options()
    #expect(try PictureSet(scratch.path, options).samples.map(\.captions) == [["one"]])
    options.allLines = true
    #expect(try PictureSet(scratch.path, options).samples.map(\.captions) == [["one", "two"]])
  }

  @Test func namesStandForCaptionsIfAsked() throws {
    let scratch = try ScratchFolder()
    try scratch.write("red_heart-2.png", "")
    var options = PictureSet.Options()
    #expect(try PictureSet(scratch.path, options).samples[0].captions == [])
    options.fileNames = true
    #expect(try PictureSet(scratch.path, options).samples[0].captions == ["red heart 2"])
  }

  @Test func captionsTooLongAreNamed() throws {
    let scratch = try ScratchFolder()
    try scratch.write("a.png", "")
    try scratch.write("a.txt", String(repeating: "x", count: 10_000_000))
    let set = try PictureSet(scratch.path)
    #expect(set.samples.isEmpty)
    #expect(set.unusable.map(\.file) == ["a.png"])
    #expect(set.unusable[0].reason.contains("at most 65536 bytes"))
  }

  /// Links that lead out, nowhere or in circles, pipes and folders with a picture's name.
  @Test func onlyFilesOfTheFolderAreRead() throws {
    let (scratch, outside) = (try ScratchFolder(), try ScratchFolder())
    let secret = try outside.write("secret.png", "secret")
    try scratch.write("inside.png", "x")
    let files = FileManager.default
    try files.createSymbolicLink(atPath: scratch.file("out.png"), withDestinationPath: secret)
    try files.createSymbolicLink(atPath: scratch.file("nowhere.png"), withDestinationPath: "gone.png")
    try files.createSymbolicLink(atPath: scratch.file("same.png"), withDestinationPath: "inside.png")
    try files.createSymbolicLink(atPath: scratch.file("circle"), withDestinationPath: ".")
    try files.createSymbolicLink(atPath: scratch.file("loop.png"), withDestinationPath: "loop.png")
    try files.createDirectory(atPath: scratch.file("folder.png"), withIntermediateDirectories: false)
    try #require(mkfifo(scratch.file("pipe.jpg"), 0o644) == 0)
    let set = try PictureSet(scratch.path)
    #expect(set.samples.map(\.file) == ["inside.png", "same.png"])
    #expect(Set(set.unusable.map(\.file)) == ["out.png", "nowhere.png", "loop.png", "folder.png", "pipe.jpg"])
  }
}
