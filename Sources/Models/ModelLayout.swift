internal import StableDiffusion

/// How a model lies on the disk: in diffusers' folders, or in one file under the original names.
protocol ModelLayout: Sendable {
  /// Parts whose configuration is known; their weights may still be missing.
  var parts: Set<ModelPart> { get }
  /// What a person should hear of it.
  var warnings: [String] { get }
  /// `model_index.json`, or what stands for it.
  var index: JSONConfiguration { get }

  func configuration(of part: ModelPart) throws -> JSONConfiguration
  func component(_ part: ModelPart) throws -> ModelComponent
  /// The tokenizer of a text encoder; nil where the files have none.
  func tokenizer(of part: ModelPart) throws -> TokenizerFiles?
  /// `scheduler_config.json`, or what stands for it; nil where there is none.
  func scheduler() throws -> JSONConfiguration?
}
