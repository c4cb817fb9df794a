package import Recipes
package import Tensors

extension CaptionRecipe {
  /// A caption with the trigger word and whatever else is always there.
  package func framed(_ caption: String) -> String {
    [prefix, caption, suffix].filter { !$0.isEmpty }.joined(separator: " ")
  }

  /// A caption with its tags in another order, and some of them left out (kohya's `shuffle_caption`, `keep_tokens` and
  /// `caption_tag_dropout_rate`).
  ///
  /// Empty tags stay, so that the text is what kohya's scripts make of it.
  package func drawn(_ caption: String, _ random: inout CounterGenerator) -> String {
    guard changesTags else { return caption }
    var tags = caption.components(separatedBy: separator).map { $0.trimmed }
    let kept = min(keepTags, tags.count)
    if shuffle {
      for place in stride(from: tags.count - 1, to: kept, by: -1) {
        tags.swapAt(place, kept + random.integer(below: place - kept + 1))
      }
    }
    if tagDropout > 0 {
      tags = tags.enumerated().filter { $0.offset < kept || random.uniform() >= Float(tagDropout) }.map(\.element)
    }
    return tags.joined(separator: ", ")
  }
}

extension String {
  fileprivate func components(separatedBy separator: String) -> [Substring] {
    var parts: [Substring] = []
    var rest = self[...]
    while let found = rest.firstRange(of: separator) {
      parts.append(rest[..<found.lowerBound])
      rest = rest[found.upperBound...]
    }
    return parts + [rest]
  }
}

extension Substring {
  fileprivate var trimmed: String {
    let start = firstIndex { !$0.isWhitespace } ?? endIndex
    let end = lastIndex { !$0.isWhitespace }.map { index(after: $0) } ?? start
    return String(self[start..<end])
  }
}
