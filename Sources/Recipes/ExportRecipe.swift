/// What package the result becomes.
package struct ExportRecipe: Codable, Sendable, Equatable {
  package enum Target: String, Choice {
    case iOS16, iOS17, iOS18, iOS26

    /// Whether 3 bits, groups, vectors, scales and 8-bit entries can be written for this system.
    package var hasGroupedPalettes: Bool { self == .iOS18 || self == .iOS26 }

    /// Widths of indices that can be written for this system.
    package var paletteBits: [Int] { PaletteRecipe.supportedBits.filter { hasGroupedPalettes || $0 != 3 } }
  }

  package enum AttentionForm: String, Choice {
    /// Batched matrix products, best on GPUs.
    case original
    /// One product a head, best on the Neural Engine.
    case splitEinsum = "split-einsum"
    /// The same with the queries in pieces of 512, best on the Neural Engine of phones.
    case splitEinsumV2 = "split-einsum-v2"
  }

  package var target: Target
  package var attention: AttentionForm
  /// Samples in a call; 2 serves guidance in one pass, as Apple's packages do.
  package var batch: Int

  init() {
    target = .iOS16
    attention = .splitEinsum
    batch = 2
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = ExportRecipe()
    target = try values.value(.target, defaults.target)
    attention = try values.value(.attention, defaults.attention)
    batch = try values.value(.batch, defaults.batch)
  }

  package func validate() throws(RecipeError) {
    try Check.that((1...64).contains(batch), "export.batch", "1 to 64", batch)
  }
}
