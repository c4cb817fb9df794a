internal import Checkpoints
internal import Kernels
internal import StableDiffusion
internal import Tensors

/// What a cache is to hold, before it is written: the same contents give the same bytes.
struct LatentCacheContents {
  /// Latents of one size by ascending keys, `[channels, height, width]` each.
  struct Size {
    let shape: [Int]
    var keys: [String]
  }

  /// By ascending width, then height, as HDF5 lists their groups' names.
  var sizes: [Size]
  var samples: [LatentCache.Sample]
  /// Different ones, in the order of their first use.
  var captions: [String]
  /// Token numbers of the framed captions for each text encoder, `[captions, tokens]`, and of the empty prompt.
  var tokens: () -> [(numbers: [Int], empty: [Int])]
  var attributes: [String: AttributeValue]

  /// Whether a file holds exactly this.
  func isHeld(by cache: LatentCache) -> Bool {
    sizes.count == cache.sizes.count
      && zip(sizes, cache.sizes).allSatisfy { $0.shape == $1.shape && $0.keys == $1.keys }
      && samples == cache.samples && captions == cache.captions
      && attributes.allSatisfy { cache.attributes[$0.key] == $0.value }
      && cache.attributes.keys.allSatisfy { attributes[$0] != nil || LatentCache.own.contains($0) }
  }

  /// Replaces the file; latents come one by one, so that a file larger than memory can be written.
  ///
  /// - Parameter latents: of a key `mean` and `deviation`, and its four facts.
  func write(
    to path: String, _ latents: (String) throws -> (mean: Buffer, deviation: Buffer, facts: [Int]),
    progress: (Int) -> Void
  ) throws {
    try HDF5RowFile.write(to: path) { writer in
      try writer.createGroup("latents")
      var done = 0
      var checksum = CacheChecksum()
      for size in sizes {
        let group = LatentCache.group(size.shape)
        try writer.createGroup(group)
        for array in ["mean", "deviation"] {
          try writer.createRows("\(group)/\(array)", shape: [size.keys.count] + size.shape)
        }
        var (facts, checks) = ([Int](), [Int]())
        for (row, key) in size.keys.enumerated() {
          let found = try latents(key)
          try writer.writeRow("\(group)/mean", row, found.mean)
          try writer.writeRow("\(group)/deviation", row, found.deviation)
          facts += found.facts
          checks += [CacheChecksum.of(found.mean), CacheChecksum.of(found.deviation)]
          done += 1
          progress(done)
        }
        try writer.write("\(group)/facts", CheckpointArray(shape: [size.keys.count, 4], .integers(facts)))
        try writer.write("\(group)/checks", CheckpointArray(shape: [size.keys.count, 2], .integers(checks)))
        try writer.write("\(group)/keys", texts: size.keys)
        checksum.add(group, keys: size.keys, facts: facts, checks: checks)
      }
      try writer.createGroup("captions")
      try writer.write("captions/text", texts: captions)
      let tokens = tokens()
      for (number, text) in tokens.enumerated() {
        let suffix = number == 0 ? "" : "_\(number + 1)"
        let width = text.empty.count
        try writer.write(
          "captions/input_ids\(suffix)",
          CheckpointArray(shape: [text.numbers.count / width, width], .integers(text.numbers)))
        try writer.write("empty_input_ids\(suffix)", CheckpointArray(shape: [width], .integers(text.empty)))
      }
      try writer.createGroup("samples")
      try writer.write("samples/file", texts: samples.map(\.file))
      try writer.write(
        "samples/table",
        CheckpointArray(shape: [samples.count, 9], .integers(samples.flatMap(\.row9))))
      checksum.add(samples, captions, tokens: tokens.map(\.numbers) + tokens.map(\.empty))
      var attributes = attributes
      attributes["latents.format"] = .string(LatentCache.formatName)
      attributes["latents.version"] = .integer(LatentCache.formatVersion)
      checksum.add(attributes)
      attributes[CacheChecksum.attribute] = .integer(checksum.value)
      for (name, value) in attributes.sorted(by: { $0.key < $1.key }) { try writer.setAttribute(name, value) }
    }
  }
}

extension LatentCache.Sample {
  /// As the table has it: size, row, variants, validation, repeats, width, height, first and last caption.
  var row9: [Int] {
    [size, row, variants, isValidation ? 1 : 0, repeats] + original + [captions.lowerBound, captions.upperBound]
  }
}
