import Foundation
import Kernels
import Pictures
import TestSupport
import Testing
import WeightFiles

/// Pictures in every form, sizes and buckets beside what Pillow, OpenCV, kohya's and diffusers' scripts make of them.
@Suite struct PictureFixtureTests {
  private func bytes(_ arrays: SafetensorsFile, _ key: String) throws -> [UInt8] {
    try arrays.integers(key).map { UInt8($0) }
  }

  @Test func everyFormIsDecoded() throws {
    let arrays = try PictureFixtures.arrays("decode.safetensors")
    for fixture in try PictureFixtures.cases("decode.json") {
      let file = try #require(fixture["file"] as? String)
      let key = try #require(fixture["key"] as? String)
      let source = try PictureFixtures.bytes("decode/\(file)")
      let isOptional = fixture["optional"] as? Bool ?? false
      if isOptional {
        let error = #expect(throws: PictureError.self) { try PictureDecoder()(source) }
        #expect(error?.description.contains("found a ") ?? false, "\(file): refused by name")
        continue
      }
      let picture = try PictureDecoder()(source).picture
      let bound = try #require(fixture["tolerance"] as? Double)
      let error = largestDifference(picture.bytes, try bytes(arrays, key))
      #expect(ParityCase("picture/decode/\(key)", error: error, bound: bound).holds)
      #expect([picture.height, picture.width, 3] == arrays.shape(of: key) ?? [])
      let size = try PictureDecoder().size(source)
      #expect(size == (picture.width, picture.height))
      if let black = fixture["over_black_key"] as? String {
        let dark = try PictureDecoder(background: [0, 0, 0])(source).picture
        let error = largestDifference(dark.bytes, try bytes(arrays, black))
        #expect(ParityCase("picture/decode/\(black)", error: error, bound: bound).holds)
      }
    }
  }

  @Test func sizesAreThoseOfPillowAndOpenCV() throws {
    let arrays = try PictureFixtures.arrays("resize.safetensors")
    for fixture in try PictureFixtures.cases("resize.json") {
      let number = try #require(fixture["case"] as? Int)
      let target = try #require(fixture["target"] as? [Int])
      let bounds = try #require(fixture["tolerance"] as? [String: Double])
      let shape = try #require(arrays.shape(of: "\(number)/source"))
      let source = Picture(width: shape[1], height: shape[0], bytes: try bytes(arrays, "\(number)/source"))
      for (rule, bound) in bounds.sorted(by: { $0.key < $1.key }) {
        let key = "\(number)/\(rule)"
        let error: Double
        if rule == "torch_bilinear_f32" {
          let values = source.resampledValues(width: target[0], height: target[1], .bilinear)
          error = relativeError(values, try arrays.floats(key).elements)
        } else {
          let shrinks = target[0] <= source.width && target[1] <= source.height
          let filter = try #require(
            ResamplingFilter(
              rawValue: rule == "kohya" ? (shrinks ? "area" : "lanczos") : String(rule.split(separator: "_")[1])))
          let resized = source.resized(width: target[0], height: target[1], filter)
          error = largestDifference(resized.bytes, try bytes(arrays, key))
          let part = PictureRegion(
            left: target[0] / 3, top: target[1] / 4, width: target[0] - target[0] / 2, height: target[1] - target[1] / 2
          )
          let alone = source.resized(width: target[0], height: target[1], filter, part: part)
          #expect(alone == resized.cropped(part), "part of \(key)")
        }
        #expect(ParityCase("picture/resize/\(key)", error: error, bound: bound).holds)
      }
    }
  }

  @Test func bucketsAreKohyas() throws {
    let json = try PictureFixtures.json("buckets.json")
    let sizes = try #require(json["sizes"] as? [[Int]])
    for (name, value) in try #require(json["kohya"] as? [String: [String: Any]]).sorted(by: { $0.key < $1.key }) {
      let enlarges = value["buckets"] != nil
      let buckets = AspectBuckets(
        resolution: try #require(value["resolution"] as? Int), step: try #require(value["step"] as? Int),
        least: value["min"] as? Int ?? 64, most: value["max"] as? Int ?? 1024, enlarges: enlarges)
      if let listed = value["buckets"] as? [[Int]] {
        #expect(buckets.sizes == listed.map { PixelSize($0[0], $0[1]) }, "\(name)")
      }
      let rows = try #require(value["rows"] as? [Any])
      try #require(rows.count == sizes.count)
      var wrong = 0
      for (size, row) in zip(sizes, rows) {
        let found = PictureFit.buckets(buckets).placement(of: PixelSize(size[0], size[1]))
        let numbers = found.map {
          [$0.target.width, $0.target.height, $0.resized.width, $0.resized.height, $0.left, $0.top]
        }
        let expected = (row as? [Any])?.prefix(6).compactMap { ($0 as? NSNumber)?.intValue }
        if numbers != expected { wrong += 1 }
      }
      #expect(ParityCase("picture/buckets/\(name)", error: Double(wrong), bound: 0).holds)
    }
  }

  @Test func squaresAreDiffusers() throws {
    let json = try PictureFixtures.json("buckets.json")
    let sizes = try #require(json["sizes"] as? [[Int]])
    let sides = try #require(json["diffusers"] as? [String: [[Int]]])
    try #require(!sides.isEmpty)
    for (side, rows) in sides.sorted(by: { $0.key < $1.key }) {
      let fit = PictureFit.square(try #require(Int(side)))
      let wrong = zip(sizes, rows).count { size, row in
        let found = fit.placement(of: PixelSize(size[0], size[1]))
        return [found?.resized.width, found?.resized.height, found?.top, found?.left] != row.map { Optional($0) }
      }
      #expect(ParityCase("picture/squares/\(side)", error: Double(wrong), bound: 0).holds)
    }
  }

  @Test func brokenFilesAreRefusedByName() throws {
    let whole = try ["jpg", "png"].reduce(into: [:]) { pictures, ending in
      pictures["whole.\(ending)"] = try PictureDecoder()(PictureFixtures.bytes("broken/whole.\(ending)")).picture
    }
    for fixture in try PictureFixtures.cases("broken.json") {
      let file = try #require(fixture["file"] as? String)
      let rule = try #require(fixture["must"] as? String)
      let result = Result { try PictureFile.read(PictureFixtures.path("broken/\(file)")) }
      switch result {
      case .success(let picture):
        #expect(rule != "refuse", "\(file) is read")
        if let same = fixture["same_pixels_as"] as? String {
          let expected = try whole[same] ?? PictureDecoder()(PictureFixtures.bytes("broken/\(same)")).picture
          #expect(picture == expected, "\(file)")
        }
      case .failure(let error):
        #expect(rule != "accept", "\(file): \(error)")
        #expect("\(error)".contains(file) && !"\(error)".contains("\n"), "\(error)")
      }
    }
  }
}
