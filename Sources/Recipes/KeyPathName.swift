internal import StrictJSON

/// Where a value stands in a document: `clustering.layers[0].bits`.
struct KeyPathName: Equatable, CustomStringConvertible {
  enum Part: Equatable {
    case key(String)
    case index(Int)
  }

  var parts: [Part] = []

  init() {}

  init(_ codingPath: [any CodingKey]) {
    parts = codingPath.map { key in key.intValue.map { .index($0) } ?? .key(key.stringValue) }
  }

  func appending(_ part: Part) -> KeyPathName {
    var path = self
    path.parts.append(part)
    return path
  }

  var description: String {
    parts.isEmpty
      ? "the document"
      : parts.reduce("") { text, part in
        switch part {
        case .key(let key): text.isEmpty ? key : "\(text).\(key)"
        case .index(let index): "\(text)[\(index)]"
        }
      }
  }
}

extension StrictJSON {
  subscript(path: KeyPathName) -> StrictJSON? {
    path.parts.reduce(self) { (value: StrictJSON?, part) in
      switch (value, part) {
      case (let object?, .key(let key)): object[key]
      case (.array(let elements)?, .index(let index)) where elements.indices.contains(index):
        elements[index]
      default: nil
      }
    }
  }
}
