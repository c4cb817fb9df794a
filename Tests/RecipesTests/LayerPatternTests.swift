import Foundation
import Recipes
import Testing

@Suite struct LayerPatternTests {
  @Test func namesPatternsThatFitNothing() throws {
    let json = """
      {"bits": 4, "layers": [{"match": "conv_in.weight", "bits": 8}, {"match": "*.attn1.*"},
       {"match": "conv_inn.weight"}, {"match": "*.attn3.*"}]}
      """
    let clustering = try JSONDecoder().decode(ClusteringRecipe.self, from: Data(json.utf8))
    let weights = ["conv_in.weight", "mid_block.attentions.0.attn1.to_q.weight"]
    #expect(clustering.unmatchedLayers(weights) == ["conv_inn.weight", "*.attn3.*"])
  }
}
