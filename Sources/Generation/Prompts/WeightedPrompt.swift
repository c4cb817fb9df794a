/// A prompt whose parts count more or less: `a (red:1.3) heart, ((big)), [blurry]`.
///
/// Parentheses multiply by 1.1, brackets divide by it, `(words:number)` multiplies by the number; a backslash takes the
/// meaning from the next character. The notation of AUTOMATIC1111's web interface.
package struct WeightedPrompt: Sendable, Equatable {
  package struct Part: Sendable, Equatable {
    package let text: String
    package let weight: Double

    package init(text: String, weight: Double) {
      self.text = text
      self.weight = weight
    }
  }

  package let parts: [Part]

  /// One part of weight 1: the text as it stands.
  package init(plain text: String) { parts = [Part(text: text, weight: 1)] }

  /// - Throws: for a bracket without its other half or a weight that is no number from 0 to 10.
  package init(weighted text: String) throws(GenerationError) {
    var parts: [Part] = []
    /// Where the open brackets began, and which they are.
    var open: [(start: Int, kind: Character)] = []
    var current = ""
    func refusal(_ found: String) -> GenerationError {
      .option(
        name: "prompt", expected: "closed brackets and weights from 0 to 10, as in (words:1.2); \\( for a plain one",
        found: found)
    }
    func close(_ current: inout String) {
      if !current.isEmpty { parts.append(Part(text: current, weight: 1)) }
      current = ""
    }
    var escaped = false
    for character in text {
      if escaped {
        current.append(character)
        escaped = false
        continue
      }
      switch character {
      case "\\": escaped = true
      case "(", "[":
        close(&current)
        open.append((parts.count, character))
      case ")", "]":
        guard let (start, kind) = open.popLast(), (kind == "(") == (character == ")") else {
          throw refusal("a '\(character)' too many in '\(text)'")
        }
        var factor = character == ")" ? 1.1 : 1 / 1.1
        if character == ")", let colon = current.lastIndex(of: ":") {
          let number = current[current.index(after: colon)...]
          guard let weight = Double(number.filter { $0 != " " }), (0...10).contains(weight) else {
            throw refusal("'(\(current))'")
          }
          factor = weight
          current = String(current[..<colon])
        }
        close(&current)
        for index in start..<parts.count {
          parts[index] = Part(text: parts[index].text, weight: parts[index].weight * factor)
        }
      default: current.append(character)
      }
    }
    guard open.isEmpty else { throw refusal("a '\(open[0].kind)' that is never closed in '\(text)'") }
    close(&current)
    self.parts = parts.isEmpty ? [Part(text: "", weight: 1)] : parts
  }
}
