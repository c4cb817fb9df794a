/// What becomes of captions before they are encoded, in this order, as kohya's sd-scripts do it.
package struct CaptionRecipe: Codable, Sendable, Equatable {
  package enum Lines: String, Choice {
    /// The first line of a caption file.
    case first
    /// Every line describes the picture; each use draws one.
    case all
  }

  package enum Missing: String, Choice {
    /// Pictures without a caption are trained with the empty prompt.
    case empty
    /// The file's name is the caption.
    case fileName = "file-name"
    /// Pictures without a caption do not count.
    case skip
    /// A picture without a caption stops the run.
    case refuse
  }

  package var lines: Lines
  package var missing: Missing
  /// The column of metadata that holds captions; empty for `text`, else `caption`, else `prompt`.
  package var column: String
  /// In front of every caption, and a space: a trigger word.
  package var prefix: String
  /// Behind every caption, after a space.
  package var suffix: String
  /// Whether tags, the parts between separators, come in another order each time.
  package var shuffle: Bool
  /// The first tags, which stay where they are and are never dropped.
  package var keepTags: Int
  package var separator: String
  /// The share of tags that are left out, each time others.
  package var tagDropout: Double
  /// The share of uses in which the whole caption is left out, beside `training.emptyPrompts`.
  package var dropout: Double

  init() {
    lines = .first
    missing = .empty
    column = ""
    prefix = ""
    suffix = ""
    shuffle = false
    keepTags = 0
    separator = ","
    tagDropout = 0
    dropout = 0
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = CaptionRecipe()
    lines = try values.value(.lines, defaults.lines)
    missing = try values.value(.missing, defaults.missing)
    column = try values.value(.column, defaults.column)
    prefix = try values.value(.prefix, defaults.prefix)
    suffix = try values.value(.suffix, defaults.suffix)
    shuffle = try values.value(.shuffle, defaults.shuffle)
    keepTags = try values.value(.keepTags, defaults.keepTags)
    separator = try values.value(.separator, defaults.separator)
    tagDropout = try values.value(.tagDropout, defaults.tagDropout)
    dropout = try values.value(.dropout, defaults.dropout)
  }

  /// Whether a caption's text may differ from use to use.
  package var changesTags: Bool { shuffle || tagDropout > 0 }

  func validate() throws(RecipeError) {
    try Check.that(keepTags >= 0, "pictures.captions.keepTags", "0 or more", keepTags)
    try Check.that(!separator.isEmpty, "pictures.captions.separator", "a text such as ,", "none")
    for (key, value) in [("tagDropout", tagDropout), ("dropout", dropout)] {
      try Check.that(value >= 0 && value <= 1, "pictures.captions.\(key)", "a share from 0 to 1", value)
    }
  }
}

/// Pictures of the kind that the model must not forget while it learns others (DreamBooth's prior preservation).
package struct PriorRecipe: Codable, Sendable, Equatable {
  /// A folder, archive or file as ``Recipe/data``; empty for none.
  package var data: String
  /// The share of the steps that learn from them.
  package var share: Double
  /// How much their loss counts.
  package var weight: Double

  init() {
    data = ""
    share = 0.5
    weight = 1
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = PriorRecipe()
    data = try values.value(.data, defaults.data)
    share = try values.value(.share, defaults.share)
    weight = try values.value(.weight, defaults.weight)
  }

  func validate() throws(RecipeError) {
    try Check.that(share >= 0 && share <= 1, "prior.share", "a share from 0 to 1", share)
    try Check.that(weight >= 0, "prior.weight", "0 or more", weight)
  }
}
