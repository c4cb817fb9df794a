internal import Files
internal import StrictJSON

/// Finds out which files of a set are pictures, and what the others say of them.
struct PictureListing {
  private(set) var layout: PictureSet.Layout
  private(set) var samples: [PictureSample] = []
  private(set) var unusable: [UnusablePicture] = []
  private(set) var warnings: [String] = []
  private(set) var otherFiles = 0

  private let options: PictureSet.Options
  private let store: any PictureStore
  private let pictures: [String]
  /// Folders that everything in the set has in common, as zips of a folder have one.
  private let common: Int

  init(_ store: any PictureStore, _ options: PictureSet.Options) throws(PictureSetError) {
    self.store = store
    self.options = options
    pictures = store.files.filter(RelativePath.isPicture)
    common = Self.commonFolders(pictures)
    layout = .captions
    let metadata = store.files.filter { Self.metadataEndings[String(RelativePath.name($0))] != nil }
    if let table = metadata.first {
      layout = .metadata
      try listMetadata(metadata, first: table)
    } else if pictures.contains(where: { Self.hasRepeats($0, common) }) {
      layout = .repeats
      try listBeside()
      tellOfLeftOut()
    } else {
      try listBeside()
    }
    let texts: Set<String> = ["txt", "caption", "json"]
    otherFiles = store.files.count { file in
      !RelativePath.isPicture(file) && !metadata.contains(file)
        && (layout == .metadata || !texts.contains(RelativePath.stemAndExtension(file).ending))
    }
  }

  private static let metadataEndings = [
    "metadata.jsonl": "jsonl", "metadata.csv": "csv", "metadata.parquet": "parquet",
  ]

  private static func commonFolders(_ files: [String]) -> Int {
    guard let first = files.first.map(RelativePath.folders) else { return 0 }
    return files.reduce(first.count) { count, file in
      zip(first.prefix(count), RelativePath.folders(file)).prefix { $0 == $1 }.count
    }
  }

  // MARK: Metadata

  private mutating func listMetadata(_ metadata: [String], first: String) throws(PictureSetError) {
    let kinds = Set(metadata.compactMap { Self.metadataEndings[String(RelativePath.name($0))] })
    guard !kinds.contains("parquet") else {
      throw .metadata(
        file: first, line: 0, reason: "parquet is not read: write it as metadata.jsonl, a JSON object a line")
    }
    guard kinds.count == 1 else {
      throw .metadata(
        file: kinds.sorted().reversed().map { "metadata.\($0)" }.joined(separator: " and "), line: 0, reason: "keep one"
      )
    }
    let there = Set(store.files)
    for file in metadata {
      let table = PictureMetadata(file, column: options.column) { there.contains($0) }
      for row in try table.rows(store) {
        samples.append(
          PictureSample(
            file: row.file, captions: row.captions, split: split(of: row.file), originalSize: row.originalSize))
      }
    }
    let listed = Set(samples.map(\.file))
    let left = pictures.filter { !listed.contains($0) }
    if !left.isEmpty {
      warnings.append(
        "\(left.count) pictures are not in \(RelativePath.name(first)): left out: \(Self.inWords(left))")
    }
    let texts = store.files.count { ["txt", "caption"].contains(RelativePath.stemAndExtension($0).ending) }
    if texts > 0 { warnings.append("\(texts) .txt files are ignored because \(RelativePath.name(first)) is there") }
    tellOfMissing()
    samples = samples.enumerated()
      .sorted { a, b in
        a.element.file == b.element.file ? a.offset < b.offset : Self.precedes(a.element.file, b.element.file)
      }
      .map(\.element)
  }

  // MARK: Captions beside

  private mutating func listBeside() throws(PictureSetError) {
    // Caption files by what stands before their last extension, which may be in upper case.
    var texts: [Substring: [String: String]] = [:]
    for file in store.files {
      let (stem, ending) = RelativePath.stemAndExtension(file)
      if ["txt", "caption", "json"].contains(ending) { texts[stem, default: [:]][ending] = file }
    }
    var sharing: [Substring: [String]] = [:]
    for picture in pictures {
      let stem = RelativePath.stemAndExtension(picture).stem
      let beside = texts[stem] ?? [:]
      if beside["txt"] ?? beside["caption"] != nil { sharing[stem, default: []].append(picture) }
      if beside["txt"] != nil, beside["caption"] != nil {
        warnings.append("\(picture) has .txt and .caption: .txt is used")
      }
      let (repeats, words) = layout == .repeats ? Self.repeats(of: picture, common) : (1, nil)
      guard repeats > 0 else { continue }
      do throws(CaptionText.Failure) {
        samples.append(try sample(picture, beside, repeats: repeats, folderWords: words))
      } catch {
        let file = beside["txt"] ?? beside["caption"] ?? picture
        unusable.append(UnusablePicture(file: picture, reason: "caption file \(RelativePath.name(file)): \(error)"))
      }
    }
    for (_, files) in sharing.filter({ $0.value.count > 1 }).sorted(by: { $0.key < $1.key }) {
      warnings.append("\(files.joined(separator: " and ")) share a caption file")
    }
    tellOfMissing()
  }

  private func sample(
    _ picture: String, _ beside: [String: String], repeats: Int, folderWords: String?
  ) throws(CaptionText.Failure) -> PictureSample {
    var captions: [String] = []
    if let file = beside["txt"] ?? beside["caption"] {
      // One byte more than is allowed shows that there are more.
      let bytes = (try? store.bytes(of: file, limit: CaptionText.mostBytes + 1)) ?? []
      let lines = try CaptionText.lines(bytes)
      captions = options.allLines ? lines : Array(lines.prefix(1))
    }
    let facts = beside["json"].flatMap(facts)
    if captions.isEmpty, let text = facts?.caption { captions = [text] }
    if captions.isEmpty, let words = folderWords { captions = [words] }
    if captions.isEmpty, options.fileNames {
      captions = [Self.words(ofName: RelativePath.stemAndExtension(picture).stem)]
    }
    return PictureSample(
      file: picture, captions: captions.filter { !$0.isEmpty }, split: split(of: picture), repeats: repeats,
      originalSize: facts?.size)
  }

  /// What img2dataset's JSON beside a picture says.
  private func facts(_ file: String) -> (caption: String?, size: [Int]?)? {
    guard let bytes = try? store.bytes(of: file, limit: 1 << 20), let json = try? StrictJSON.parse(bytes) else {
      return nil
    }
    let texts = ["caption", "text", "prompt"].compactMap { key -> String? in
      if case .string(let text)? = json[key] { CaptionText.stripped(text) } else { nil }
    }
    let size = ["original_width", "original_height"].compactMap { json[$0]?.whole }
    return (texts.first { !$0.isEmpty }, size.count == 2 && size.allSatisfy { (1...1 << 30).contains($0) } ? size : nil)
  }

  /// A file's name as a caption: `red_heart-2.png` says "red heart 2".
  private static func words(ofName stem: Substring) -> String {
    let name = stem.split(separator: "/").last ?? ""
    return name.split { $0 == "_" || $0 == "-" || $0 == " " }.joined(separator: " ")
  }

  // MARK: Folders

  private static let splits: [String: PictureSample.Split] = [
    "train": .train, "training": .train, "validation": .validation, "valid": .validation, "val": .validation,
    "dev": .validation, "test": .test, "testing": .test, "eval": .test, "evaluation": .test,
  ]

  /// By the outermost folder's whole name: words in the names of files say nothing.
  private func split(of file: String) -> PictureSample.Split {
    let folders = RelativePath.folders(file)
    // A set of one split has its folder in common.
    let first = folders.dropFirst(min(common, max(0, folders.count - 1))).first ?? folders.first
    return (first.flatMap { Self.splits[$0.lowercased()] } ?? folders.first.flatMap { Self.splits[$0.lowercased()] })
      ?? .train
  }

  /// The outermost folder, below those that all have in common, of the form `10_name`, or `10`: how often its pictures
  /// count, and the words. Folders inside of it count as it does.
  private static func repeats(of file: String, _ common: Int) -> (repeats: Int, words: String?) {
    for folder in RelativePath.folders(file).prefix(common + 1) {
      let parts = folder.split(separator: "_", maxSplits: 1, omittingEmptySubsequences: false)
      guard let number = Int(parts[0]), parts[0].allSatisfy(\.isNumber), number < mostRepeats else { continue }
      let words = parts.count > 1 ? CaptionText.stripped(parts[1]) : ""
      return (number, words.isEmpty ? nil : words)
    }
    return (0, nil)
  }

  /// Larger numbers in front of folders' names are years.
  private static let mostRepeats = 1000

  /// Whether a picture lies in a folder of kohya's kind, whose number is followed by words.
  private static func hasRepeats(_ file: String, _ common: Int) -> Bool {
    let (repeats, words) = repeats(of: file, common)
    return repeats > 0 && words != nil
  }

  // MARK: Warnings

  private mutating func tellOfMissing() {
    let missing = samples.filter(\.captions.isEmpty).map(\.file)
    guard !missing.isEmpty else { return }
    warnings.append(
      missing.count == 1
        ? "1 picture without a caption: \(missing[0])"
        : "\(missing.count) pictures without a caption: \(Self.inWords(missing))")
  }

  private mutating func tellOfLeftOut() {
    let listed = Set(samples.map(\.file) + unusable.map(\.file))
    let left = pictures.filter { !listed.contains($0) }
    guard !left.isEmpty else { return }
    warnings.append(
      "\(left.count) pictures are in no folder that says how often they count, such as 10_name: left out: "
        + Self.inWords(left))
  }

  /// The first few of a list.
  private static func inWords(_ files: [String]) -> String {
    files.prefix(5).joined(separator: ", ").onOneLine + (files.count > 5 ? " …" : "")
  }

  private static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
}
