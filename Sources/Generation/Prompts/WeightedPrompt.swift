/// A prompt whose parts count more or less: `a (red:1.3) heart, ((big)), [blurry]`.
///
/// Parentheses multiply by 1.1, brackets divide by it, `(words:number)` multiplies by the number; a backslash takes the
/// meaning from the next bracket. The notation of AUTOMATIC1111's web interface (`parse_prompt_attention`), with what it makes
/// of half a bracket: an open one counts to the end, a closing one without its other half is text.
package struct WeightedPrompt: Sendable, Equatable {
  package struct Part: Sendable, Equatable {
    package let text: String
    package let weight: Double

    package init(text: String, weight: Double) {
      self.text = text
      self.weight = weight
    }
  }

  package private(set) var parts: [Part]
  /// What the notation knows and is taken as plain words here.
  package let plainlyRead: [String]

  /// One part of weight 1: the text as it stands.
  package init(plain text: String) {
    parts = [Part(text: text, weight: 1)]
    plainlyRead = []
  }

  package init(weighted text: String) {
    parts = []
    plainlyRead = Self.unsupported(text)
    var open: [(start: Int, kind: Character)] = []
    var current = ""
    let characters = Array(text)
    var at = 0
    while at < characters.count {
      let character = characters[at]
      at += 1
      switch character {
      case "\\":
        if at < characters.count, "()[]\\".contains(characters[at]) {
          current.append(characters[at])
          at += 1
        }
      case "(", "[":
        close(&current)
        open.append((parts.count, character))
      case ":":
        if let index = open.lastIndex(where: { $0.kind == "(" }), let (weight, end) = Self.weight(characters, at) {
          close(&current)
          multiply(from: open.remove(at: index).start, by: weight)
          at = end
        } else {
          current.append(character)
        }
      case ")", "]":
        let kind: Character = character == ")" ? "(" : "["
        guard let index = open.lastIndex(where: { $0.kind == kind }) else {
          current.append(character)
          continue
        }
        close(&current)
        multiply(from: open.remove(at: index).start, by: character == ")" ? 1.1 : 1 / 1.1)
      default: current.append(character)
      }
    }
    close(&current)
    for (start, kind) in open { multiply(from: start, by: kind == "(" ? 1.1 : 1 / 1.1) }
    if parts.isEmpty { parts = [Part(text: "", weight: 1)] }
  }

  private mutating func close(_ current: inout String) {
    if !current.isEmpty { parts.append(Part(text: current, weight: 1)) }
    current = ""
  }

  private mutating func multiply(from start: Int, by factor: Double) {
    for index in start..<parts.count {
      parts[index] = Part(text: parts[index].text, weight: parts[index].weight * factor)
    }
  }

  /// A number and the bracket behind it.
  private static func weight(_ characters: [Character], _ start: Int) -> (weight: Double, end: Int)? {
    var at = start
    func skipSpace() { while at < characters.count, characters[at].isWhitespace { at += 1 } }
    skipSpace()
    let first = at
    if at < characters.count, "+-".contains(characters[at]) { at += 1 }
    while at < characters.count, characters[at].isNumber || characters[at] == "." { at += 1 }
    let number = Double(String(characters[first..<at]))
    skipSpace()
    guard let number, number.isFinite, at < characters.count, characters[at] == ")" else { return nil }
    return (number, at + 1)
  }

  /// Parts of the notation that are not built, as they stand in the text.
  private static func unsupported(_ text: String) -> [String] {
    var found: [String] = []
    if text.split(whereSeparator: { !$0.isLetter }).contains("BREAK") { found.append("BREAK") }
    found += text.matches(of: #/<(?:lora|lyco|hypernet):[^>]*>/#).map { String($0.output) }
    found += text.matches(of: #/\[[^\[\]]*[:|][^\[\]]*\]/#).map { String($0.output) }
    return found
  }
}
