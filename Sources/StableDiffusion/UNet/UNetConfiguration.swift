package import Tensors

/// `config.json` of a UNet2DConditionModel, as far as Stable Diffusion 1.x, 2.x and XL use it.
package struct UNetConfiguration: Sendable, Equatable {
  package enum BlockKind: String, Sendable {
    case crossAttentionDown = "CrossAttnDownBlock2D", down = "DownBlock2D"
    case crossAttentionUp = "CrossAttnUpBlock2D", up = "UpBlock2D"

    var hasAttention: Bool { self == .crossAttentionDown || self == .crossAttentionUp }
  }

  package let inputChannels: Int
  package let outputChannels: Int
  /// Channels of each level, finest first.
  package let blockChannels: [Int]
  package let downBlocks: [BlockKind]
  package let upBlocks: [BlockKind]
  /// Residual blocks of each level on the way down; one more on the way up.
  package let layersPerBlock: [Int]
  /// Attention heads of each level.
  package let heads: [Int]
  /// Transformer layers of every attention on the way down, by level.
  package let downTransformerLayers: [[Int]]
  /// The same on the way up, by level, in the order in which they are asked.
  package let upTransformerLayers: [[Int]]
  /// What stands between the way down and the way up.
  package let middle: Middle
  /// Whether the first attention of a level's transformers sees the text alone (`only_cross_attention`).
  let seesTextAlone: [Bool]
  /// Features of the text states that each level attends to.
  package let contextFeatures: [Int]
  /// Groups of the group norms.
  package let groups: Int
  package let normEpsilon: Float
  /// Whether the transformers' projections are linears instead of 1×1 convolutions.
  package let usesLinearProjection: Bool
  package let flipsSinToCos: Bool
  package let frequencyShift: Float
  /// Of the latents that the model was trained on, in latent pixels.
  package let sampleHeight, sampleWidth: Int
  /// SDXL's conditioning on pooled text and picture size; nil without.
  package let textTime: TextTime?

  package struct TextTime: Sendable, Equatable {
    /// Sine features of each number in `time_ids`.
    package let timeFeatures: Int
    /// Features of all time ids and the pooled text together.
    package let projectionInputs: Int
  }

  package enum Middle: Sendable, Equatable {
    /// Nothing, as in the smallest of BK-SDM.
    case none
    /// One residual block (`UNetMidBlock2D`).
    case residual
    /// Transformers of so many layers between two residual blocks (`UNetMidBlock2DCrossAttn`).
    case attention(layers: Int)
  }

  /// The side of a square of as many latent pixels as the model was trained on.
  package var sampleSize: Int { Int(Double(sampleHeight * sampleWidth).squareRoot()) }

  /// How many numbers SDXL's time ids have beside so many features of pooled text: 6, or 5 of a refiner; nil of others.
  ///
  /// - Parameter pooled: nil where no text encoder is there to ask; a refiner's only encoder gives states and pooled text
  ///   of one width.
  package func timeIdentifierCount(pooled: Int?) -> Int? {
    guard let textTime else { return nil }
    if let pooled { return max(0, textTime.projectionInputs - pooled) / textTime.timeFeatures }
    return textTime.projectionInputs - 5 * textTime.timeFeatures == contextFeatures[0] ? 5 : 6
  }

  /// Features of the timestep embedding.
  var timeFeatures: Int { blockChannels[0] * 4 }
  /// Channels of the images that the way down hands to the way up: behind the first convolution, each residual block
  /// and each halving.
  package var skipChannels: [Int] {
    var channels = [blockChannels[0]]
    for (level, width) in blockChannels.enumerated() {
      let halvings = level < blockChannels.count - 1 ? 1 : 0
      channels += [Int](repeating: width, count: layersPerBlock[level] + halvings)
    }
    return channels
  }
  /// Shapes of these images and, last, of the middle: `[batch, height, width, channels]` each.
  ///
  /// - Parameter height: latent pixels, as is `width`.
  package func skipShapes(batch: Int, height: Int, width: Int) -> [Shape] {
    var (height, width) = (height, width)
    var shapes: [Shape] = [[batch, height, width, blockChannels[0]]]
    for (level, channels) in blockChannels.enumerated() {
      shapes += [Shape](repeating: [batch, height, width, channels], count: layersPerBlock[level])
      if level < blockChannels.count - 1 {
        (height, width) = ((height + 1) / 2, (width + 1) / 2)
        shapes.append([batch, height, width, channels])
      }
    }
    return shapes + [[batch, height, width, blockChannels[blockChannels.count - 1]]]
  }
}
