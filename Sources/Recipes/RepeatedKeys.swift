internal import Foundation

/// Finds keys that an object names twice, of which Foundation would silently drop one.
enum RepeatedKeys {
  private struct Level {
    /// Nil in a list.
    var keys: Set<String>?
    var place: KeyPathName.Part?
  }

  /// The path of the first such key.
  ///
  /// - Parameter json: valid JSON.
  static func first(in json: [UInt8]) -> String? {
    var levels: [Level] = []
    var offset = 0
    while offset < json.count {
      switch json[offset] {
      case UInt8(ascii: "{"): levels.append(Level(keys: []))
      case UInt8(ascii: "["): levels.append(Level(place: .index(0)))
      case UInt8(ascii: "}"), UInt8(ascii: "]"): levels.removeLast()
      case UInt8(ascii: ","):
        if case .index(let index)? = levels.last?.place {
          levels[levels.count - 1].place = .index(index + 1)
        }
      case UInt8(ascii: "\""):
        let end = endOfString(in: json, from: offset)
        if levels.last?.keys != nil, isKey(json, after: end),
          let key = try? JSONDecoder().decode(String.self, from: Data(json[offset..<end]))
        {
          levels[levels.count - 1].place = .key(key)
          if levels[levels.count - 1].keys?.insert(key).inserted == false {
            var path = KeyPathName()
            path.parts = levels.compactMap(\.place)
            return path.description
          }
        }
        offset = end - 1
      default: break
      }
      offset += 1
    }
    return nil
  }

  private static func endOfString(in json: [UInt8], from start: Int) -> Int {
    var offset = start + 1
    while json[offset] != UInt8(ascii: "\"") {
      offset += json[offset] == UInt8(ascii: "\\") ? 2 : 1
    }
    return offset + 1
  }

  private static func isKey(_ json: [UInt8], after end: Int) -> Bool {
    let spaces: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
    return json[end...].first { !spaces.contains($0) } == UInt8(ascii: ":")
  }
}
