internal import Foundation

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

/// A JSON object whose values are asked for by key and type; `null` counts as absent.
struct JSONConfiguration {
  let file: String
  private let values: [String: Any]

  init(file: String) throws(ConfigurationError) {
    self.file = file
    guard let data = FileManager.default.contents(atPath: file) else {
      throw .unreadable(file, reason: "no such file: is this a diffusers component folder?")
    }
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw .unreadable(file, reason: "not a JSON object")
    }
    values = object.filter { !($0.value is NSNull) }
  }

  /// - Parameter file: what messages call it.
  init(file: String, values: [String: Any]) {
    self.file = file
    self.values = values
  }

  func has(_ key: String) -> Bool { values[key] != nil }

  /// An object inside this one; empty if there is none.
  func object(_ key: String) -> JSONConfiguration {
    let inner = values[key] as? [String: Any] ?? [:]
    return JSONConfiguration(file: file, values: inner.filter { !($0.value is NSNull) })
  }

  func text(_ key: String) -> String { values[key].map { "\($0)" } ?? "null" }

  private func value<Value>(
    _ key: String, _ fallback: Value?, _ expected: String, _ convert: (Any) -> Value?
  ) throws(ConfigurationError) -> Value {
    guard let raw = values[key] else {
      guard let fallback else { throw .missing(file, key: key) }
      return fallback
    }
    guard let value = convert(raw) else {
      throw .unsupported(file, key: key, value: text(key), expected: expected)
    }
    return value
  }

  func number(_ key: String, default fallback: Double? = nil) throws(ConfigurationError) -> Double {
    try value(key, fallback, "a number") { ($0 as? NSNumber)?.doubleValue }
  }

  /// A whole number from 1 to a million: sizes of networks.
  func integer(_ key: String, default fallback: Int? = nil) throws(ConfigurationError) -> Int {
    try value(key, fallback, "a whole number from 1 to 1000000") { Self.size($0) }
  }

  func integers(_ key: String) throws(ConfigurationError) -> [Int] {
    try value(key, nil, "a list of whole numbers from 1 to 1000000") { raw in
      guard let list = raw as? [Any], (1...16).contains(list.count) else { return nil }
      let sizes = list.compactMap { Self.size($0) }
      return sizes.count == list.count ? sizes : nil
    }
  }

  /// A list with one entry a level, or one number for all levels.
  func integers(
    _ key: String, repeated levels: Int, default fallback: Int? = nil
  ) throws(ConfigurationError) -> [Int] {
    guard values[key] is [Any] else {
      return [Int](repeating: try integer(key, default: fallback), count: levels)
    }
    let list = try integers(key)
    guard list.count == levels else {
      throw .unsupported(
        file, key: key, value: "\(list.count) numbers", expected: "one, or one for each of \(levels) levels")
    }
    return list
  }

  func string(_ key: String, default fallback: String? = nil) throws(ConfigurationError) -> String {
    try value(key, fallback, "a string") { $0 as? String }
  }

  /// A whole number in a range.
  func whole(
    _ key: String, default fallback: Int, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    try value(key, fallback, "a whole number from \(range.lowerBound) to \(range.upperBound)") { raw in
      guard !Self.isBoolean(raw), let number = raw as? NSNumber, let whole = Int(exactly: number.doubleValue) else {
        return nil
      }
      return range.contains(whole) ? whole : nil
    }
  }

  /// A string inside an object, or nil.
  func member(_ key: String, _ inner: String) -> String? {
    (values[key] as? [String: Any])?[inner] as? String
  }

  func strings(_ key: String) throws(ConfigurationError) -> [String] {
    try value(key, nil, "a list of strings") { $0 as? [String] }
  }

  func boolean(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
    try value(key, fallback, "true or false") { ($0 as? NSNumber)?.boolValue }
  }

  func require(_ key: String, _ expected: String) throws(ConfigurationError) {
    let found = try string(key)
    guard found == expected else {
      throw .unsupported(file, key: key, value: "'\(found)'", expected: "'\(expected)'")
    }
  }

  /// Foundation reads `true` as a number.
  private static func isBoolean(_ raw: Any) -> Bool {
    (raw as? NSNumber).map { String(cString: $0.objCType) == "c" } ?? false
  }

  private static func size(_ raw: Any) -> Int? {
    guard !isBoolean(raw), let number = raw as? NSNumber, number.doubleValue == number.doubleValue.rounded(),
      (1...1_000_000).contains(number.doubleValue)
    else { return nil }
    return number.intValue
  }
}
