package import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors

/// How much each weight moves the UNet's output: the diagonal of Jᵀ J, J the Jacobian of the output.
///
/// For normal v, E[(Jᵀ v)²] is that diagonal, so a few backward passes from random cotangents estimate it.
package struct FisherInformation: Sendable {
  /// By weight, in the order of its elements.
  package let diagonal: [String: Buffer]

  private static let passes = 8

  package init(_ recipe: Recipe, _ inputs: RunInputs) throws {
    let store = inputs.weights
    var diagonal: [String: Buffer] = [:]
    for pass in 0..<Self.passes {
      let batch = try inputs.batches.batch(of: pass)
      let unet = try UNet(store, inputs.unet.configuration)
      Execution.recomputing(recipe.training.recompute) {
        let output = unet.outputs(batch, inputs.trainingStates[batch.prompts]).prediction
        var random = CounterGenerator(seed: recipe.seed, .fisherInformation, step: pass)
        let seed = Tensor(output.shape, random.normals(output.shape.count))
        output.gradients(seed: seed) { name, gradient in
          let square = Buffer(uninitialized: gradient.count)
          Elementwise.combine(gradient, .multiply, gradient, into: square)
          if let sum = diagonal[name] {
            Elementwise.accumulate(square, into: sum)
          } else {
            diagonal[name] = square
          }
        }
      }
    }
    self.diagonal = diagonal
  }
}
