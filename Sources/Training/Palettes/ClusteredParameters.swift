internal import Kernels
internal import Layers
internal import Tensors

/// Weights as layers see them in one step: palettized where the step has a palette, as they are otherwise.
///
/// No layer knows the difference. Gradients arrive under the weight's own name; what they mean for the latent weight
/// or the palette is the palette's business.
struct ClusteredParameters: ParameterSource {
  let store: ParameterStore
  let palettes: [String: StepPalette]
  let time: PaletteTime

  func contains(_ name: String) -> Bool { store.contains(name) }

  func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    let latent = try store.parameter(name, shape)
    guard let palette = palettes[name], let leaf = store.leaf(name) else { return latent }
    return Parameter(name: name, shape: shape) {
      Tensor(making: { elements(of: palette) }, leaf: leaf)
    }
  }

  private func elements(of palette: StepPalette) -> WeightElements {
    let use = Use(weights: palette.weights)
    return time.counting { palette.layerElements() }.made { elements, part, y, offset in
      withExtendedLifetime(use) {
        time.counting(threads: Parallel.threads) { elements.copy(part, into: y, at: offset) }
      }
    }
  }

  /// Lets go of latent weights when nothing makes elements of them any more.
  private final class Use: Sendable {
    let weights: Buffer

    init(weights: Buffer) { self.weights = weights }

    deinit { weights.letGo() }
  }
}
