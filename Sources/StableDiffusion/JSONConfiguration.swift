internal import Files
internal import Foundation
internal import Kernels
package import StrictJSON

/// A `config.json` whose model the engine cannot build.
package enum ConfigurationError: Error, CustomStringConvertible, Equatable {
  case unreadable(String, reason: String)
  case missing(String, key: String)
  case unsupported(String, key: String, value: String, expected: String)

  package var description: String {
    switch self {
    case .unreadable(let file, let reason): "\(file): \(reason)"
    case .missing(let file, let key): "\(file): key '\(key)' is missing"
    case .unsupported(let file, let key, let value, let expected):
      "\(file): '\(key)' is \(value), expected \(expected)"
    }
  }
}

/// A JSON object whose values are asked for by key and type; `null` counts as absent unless it is asked for.
package struct JSONConfiguration: Sendable, Equatable {
  /// What messages call it.
  package let file: String
  private let values: [String: StrictJSON]

  /// Reads a file as Python writes it: `-Infinity` is a number.
  package init(file: String) throws(ConfigurationError) {
    guard FileManager.default.fileExists(atPath: file) else {
      throw .unreadable(file, reason: "no such file: is this a diffusers component folder?")
    }
    let json = try Self.readable(file) { () throws(FileError) in try StrictJSON.read(file, dialect: .python) }
    guard case .object = json else { throw .unreadable(file, reason: "expected a JSON object, found \(json.kind)") }
    self.init(file: file, json)
  }

  /// The text of a file beside configurations.
  static func text(_ file: String) throws(ConfigurationError) -> String {
    try readable(file) { () throws(FileError) in try MappedFile.text(file) }
  }

  private static func readable<Value>(
    _ file: String, _ read: () throws(FileError) -> Value
  ) throws(ConfigurationError) -> Value {
    do { return try read() } catch { throw .unreadable(file, reason: error.reason) }
  }

  /// - Parameters:
  ///   - file: what messages call it.
  ///   - json: an object; anything else counts as an empty one.
  package init(file: String, _ json: StrictJSON) {
    self.file = file
    guard case .object(let members) = json else {
      values = [:]
      return
    }
    values = Dictionary(members.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
  }

  package init(file: String, values: [String: StrictJSON]) {
    self.file = file
    self.values = values
  }

  /// The object, keys sorted.
  package var json: StrictJSON {
    .object(values.sorted { $0.key < $1.key }.map { StrictJSON.Member(key: $0.key, value: $0.value) })
  }

  package subscript(key: String) -> StrictJSON? { values[key] }

  package var keys: [String] { values.keys.sorted() }

  /// The same with other values for some keys; nil removes one.
  package func replacing(_ changes: [String: StrictJSON?]) -> JSONConfiguration {
    var values = values
    for (key, value) in changes { values[key] = value }
    return JSONConfiguration(file: file, values: values)
  }

  package func has(_ key: String) -> Bool { values[key].map { $0 != .null } ?? false }

  /// Whether a key is there and says `null`, which Python reads as `None` and not as the default.
  func isNull(_ key: String) -> Bool { values[key] == .null }

  /// An object inside this one; empty if there is none.
  package func object(_ key: String) -> JSONConfiguration { JSONConfiguration(file: file, values[key] ?? .null) }

  func text(_ key: String) -> String { values[key]?.inWords ?? "null" }

  private func value<Value>(
    _ key: String, _ fallback: Value?, _ expected: String, _ convert: (StrictJSON) -> Value?
  ) throws(ConfigurationError) -> Value {
    guard let raw = values[key], raw != .null else {
      guard let fallback else { throw .missing(file, key: key) }
      return fallback
    }
    guard let value = convert(raw) else {
      throw .unsupported(file, key: key, value: text(key), expected: expected)
    }
    return value
  }

  /// - Parameter canBeInfinite: whether an infinity says "no limit".
  func number(
    _ key: String, default fallback: Double? = nil, canBeInfinite: Bool = false
  ) throws(ConfigurationError) -> Double {
    try value(key, fallback, canBeInfinite ? "a number" : "a finite number") { raw in
      raw.double.flatMap { $0.isFinite || (canBeInfinite && !$0.isNaN) ? $0 : nil }
    }
  }

  /// A whole number from 1 to a million: sizes of networks.
  package func integer(_ key: String, default fallback: Int? = nil) throws(ConfigurationError) -> Int {
    try value(key, fallback, "a whole number from 1 to 1000000") { $0.whole(in: 1...1_000_000) }
  }

  func integers(_ key: String) throws(ConfigurationError) -> [Int] {
    try value(key, nil, "a list of whole numbers from 1 to 1000000") { $0.list { $0.whole(in: 1...1_000_000) } }
  }

  func numbers(_ key: String) throws(ConfigurationError) -> [Double] {
    try value(key, nil, "a list of finite numbers") { $0.list { $0.double.flatMap { $0.isFinite ? $0 : nil } } }
  }

  /// A list with one entry a level, or one number for all levels.
  func integers(
    _ key: String, repeated levels: Int, default fallback: Int? = nil
  ) throws(ConfigurationError) -> [Int] {
    guard case .array = values[key] else {
      return [Int](repeating: try integer(key, default: fallback), count: levels)
    }
    let list = try integers(key)
    guard list.count == levels else {
      throw .unsupported(
        file, key: key, value: "\(list.count) numbers", expected: "one, or one for each of \(levels) levels")
    }
    return list
  }

  /// A number for every layer: one for all, one a block, or a list a block.
  ///
  /// - Parameters:
  ///   - counts: layers of each block.
  ///   - needed: whether a block has such layers at all; what the file says of others counts little.
  func layers(
    _ key: String, counts: [Int], needed: [Bool], default fallback: Int
  ) throws(ConfigurationError) -> [[Int]] {
    let range = 0...1000
    let expected = "a number, or for each of \(counts.count) blocks one or a list with one for each layer: \(counts)"
    return try value(key, counts.map { [Int](repeating: fallback, count: $0) }, expected) { raw in
      if let one = raw.whole(in: range) { return counts.map { [Int](repeating: one, count: $0) } }
      guard case .array(let blocks) = raw, blocks.count == counts.count else { return nil }
      let lists = blocks.indices.compactMap { index -> [Int]? in
        let count = counts[index]
        if let one = blocks[index].whole(in: range) { return [Int](repeating: one, count: count) }
        guard case .array(let elements) = blocks[index] else { return nil }
        let numbers = elements.compactMap { $0.whole(in: range) }
        guard numbers.count == elements.count else { return nil }
        if !needed[index], numbers.count < count { return [Int](repeating: numbers.first ?? fallback, count: count) }
        return numbers.count >= count ? Array(numbers.prefix(count)) : nil
      }
      return lists.count == counts.count ? lists : nil
    }
  }

  package func string(_ key: String, default fallback: String? = nil) throws(ConfigurationError) -> String {
    try value(key, fallback, "a string") { if case .string(let text) = $0 { text } else { nil } }
  }

  /// A whole number in a range.
  func whole(
    _ key: String, default fallback: Int, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    try value(key, fallback, "a whole number from \(range.lowerBound) to \(range.upperBound)") { $0.whole(in: range) }
  }

  package func strings(_ key: String) throws(ConfigurationError) -> [String] {
    try value(key, nil, "a list of strings") { raw in
      raw.list { if case .string(let text) = $0 { text } else { nil } }
    }
  }

  /// `null` is Python's `None`, which is not true, whatever the default.
  package func boolean(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
    if isNull(key) { return false }
    return try value(key, fallback, "true or false") { if case .boolean(let truth) = $0 { truth } else { nil } }
  }

  /// Truth values, one a block or one for all.
  func booleans(_ key: String, count: Int) throws(ConfigurationError) -> [Bool] {
    try value(key, [Bool](repeating: false, count: count), "true, false, or one of them for each of \(count) blocks") {
      raw in
      if case .boolean(let truth) = raw { return [Bool](repeating: truth, count: count) }
      let list = raw.list { element -> Bool? in if case .boolean(let truth) = element { truth } else { nil } }
      return list?.count == count ? list : nil
    }
  }

  func require(_ key: String, _ expected: String) throws(ConfigurationError) {
    let found = try string(key)
    guard found == expected else {
      throw .unsupported(file, key: key, value: "'\(found)'", expected: "'\(expected)'")
    }
  }

  /// Refuses keys that nobody here reads: what they change would be missing in silence.
  ///
  /// Keys that begin with an underscore are diffusers' own notes, and `null` changes nothing.
  func refuseKeys(except known: Set<String>) throws(ConfigurationError) {
    for key in keys where !known.contains(key) && !key.hasPrefix("_") && has(key) {
      throw .unsupported(
        file, key: key, value: text(key), expected: "no such key: sdtune does not know what it changes")
    }
  }
}

extension FileError {
  /// Without the file's name, for errors that say it themselves.
  fileprivate var reason: String {
    let text = "\(self)"
    guard let colon = text.range(of: ": ") else { return text }
    return String(text[colon.upperBound...])
  }
}

extension StrictJSON {
  /// A number as a double; nil of anything else.
  fileprivate var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .unsigned(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }

  /// A whole number in a range, however it is written.
  fileprivate func whole(in range: ClosedRange<Int>) -> Int? {
    guard let double, let whole = Int(exactly: double), range.contains(whole) else { return nil }
    return whole
  }

  /// A list of 1 to 64 elements of one kind.
  fileprivate func list<Element>(_ convert: (StrictJSON) -> Element?) -> [Element]? {
    guard case .array(let elements) = self, (1...64).contains(elements.count) else { return nil }
    let converted = elements.compactMap(convert)
    return converted.count == elements.count ? converted : nil
  }
}
