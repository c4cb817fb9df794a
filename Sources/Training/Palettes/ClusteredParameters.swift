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
    time.counting { palette.layerElements() }.made(
      by: { elements, part, y, offset in
        time.counting(threads: Parallel.threads) { elements.copy(part, into: y, at: offset) }
      }, finally: { palette.weights.letGo() })
  }
}
