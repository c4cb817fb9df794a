import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training

@Suite struct TextStatesTests {
  /// Captions that are too many to keep are encoded when they are asked for, to the same states.
  @Test func encodedWhenAskedFor() throws {
    let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let model = repository.appending(path: "checkpoints/emoji-sd").path
    let encoder = try ModelComponent(folder: model + "/text_encoder").textEncoder().model
    let dataset = try LatentDataset(path: model + "/latents.h5", split: .validation, limit: 40)
    let unet = try UNetConfiguration(folder: model + "/unet")
    let kept = TextStates([encoder], dataset.captions, for: unet)
    let asked = TextStates([encoder], dataset.captions, for: unet, mostKept: 0)
    let prompts: [Captions.Prompt] = [.caption(3), .empty, .caption(39), .caption(3), .caption(0)]
    let (expected, found) = (kept[prompts].states, asked[prompts].states)
    #expect(found.shape == expected.shape)
    // Products of other sizes add up in another order.
    for (x, y) in zip(found.elements, expected.elements) { #expect(abs(x - y) < 1e-5 * max(1, abs(y))) }
    #expect(found.rows([0]).elements == found.rows([3]).elements)
  }
}
