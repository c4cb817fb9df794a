internal import ArgumentParser
internal import Generation
internal import Jobs
internal import Models
internal import Pictures
internal import StableDiffusion
internal import Tensors

/// Where a model's parts are.
struct ModelOptions: ParsableArguments {
  @Option(
    help: """
      A diffusers folder, a Hugging Face cache folder, a single file, or a folder or .zip of packages or compiled models \
      with a tokenizer.
      """,
    completion: .file())
  var models: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(help: "A UNet package, folder or single file instead of the model's.")
  var unet: String?

  @Option(help: "A text encoder package, folder or single file instead of the model's.")
  var textEncoder: String?

  @Option(name: .customLong("text-encoder-2"), help: "The same for SDXL's second text encoder.")
  var textEncoder2: String?

  @Option(help: "A VAE decoder package, VAE folder or single file instead of the model's.")
  var vaeDecoder: String?

  @Option(help: "A VAE encoder package, VAE folder or single file instead of the model's.")
  var vaeEncoder: String?

  /// - Parameter guidance: what a UNet that takes it is told.
  func set(guidance: Double, checksSafety: Bool) throws -> ModelSet {
    var packages = ModelSet.Replacements()
    packages.unet = try unet?.unpacked()
    packages.textEncoder = try textEncoder?.unpacked()
    packages.textEncoder2 = try textEncoder2?.unpacked()
    packages.decoder = try vaeDecoder?.unpacked()
    packages.encoder = try vaeEncoder?.unpacked()
    var wishes = additions.additions
    wishes.guidance = guidance
    return try ModelSet(models.unpacked(), replacing: packages, additions: wishes, checksSafety: checksSafety)
  }
}

/// `sdtune generate`: prompt to picture.
struct Generate: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generate pictures from a prompt, with a model in any form or with packages.",
    discussion: """
      Starts from a picture with --image; repaints parts of it with --mask. The PNG says how it was made, under \
      "parameters".
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: "What the picture should show.")
  var prompt: String

  @Option(help: "What it should not show.")
  var negativePrompt: String?

  @Option(
    help: "The PNG file; several pictures get a number before its ending.", completion: .file(extensions: ["png"]))
  var output: String

  @Option(help: "Steps.")
  var steps = 50

  @Option(help: "Guidance: how far to follow the prompt; 1 for none.")
  var guidance = 7.5

  @Option(help: "Seed of the first picture; each further one has the next.")
  var seed: UInt64 = 0

  @Option(help: "Pictures.")
  var count = 1

  @Option(help: "Pixels (default: what the model was trained on).")
  var width: Int?

  @Option(help: "Pixels (default: what the model was trained on).")
  var height: Int?

  @Option(help: "ddim, pndm, dpm-solver, euler, euler-ancestral or lcm (default: the model's).")
  var scheduler: String?

  @Option(help: "linspace, leading or trailing (default: the model's).")
  var spacing: String?

  @Flag(inversion: .prefixedNo, help: "Karras noise levels, with dpm-solver or euler (default: the model's).")
  var karras: Bool?

  @Option(help: "DDIM's share of fresh noise, 0 to 1 (default: 0).")
  var eta: Double?

  @Option(help: "A picture to start from, PNG.", completion: .file(extensions: ["png"]))
  var image: String?

  @Option(help: "How much of the picture may change, 0 to 1 (default: 0.8).")
  var strength: Double?

  @Option(help: "White where the picture is to be painted anew, PNG.", completion: .file(extensions: ["png"]))
  var mask: String?

  @Option(help: "SDXL's refiner: its UNet's package or folder.")
  var refiner: String?

  @Option(help: "Share of the noise that is the base model's, 0 to 1 (default: 0.8).")
  var refinerStart: Double?

  @Option(help: "A ControlNet folder or package.")
  var controlnet: String?

  @Option(help: "What the ControlNet looks at, PNG.", completion: .file(extensions: ["png"]))
  var controlImage: String?

  @Option(help: "How much the ControlNet counts (default: 1).")
  var controlScale: Double?

  @Flag(help: "Read (words:1.2) and [words] as weights.")
  var weights = false

  @Option(help: "Words beyond the text encoder's length: cut or chunks.")
  var longPrompt = "cut"

  @Option(help: "Steps between preview pictures; 0 for none.")
  var previewEvery = 0

  @Option(help: "Reproduce diffusers or apple.")
  var compat = "diffusers"

  @Option(help: "Random numbers: torch, numpy or nvidia (default: torch, with --compat apple numpy).")
  var rng: String?

  @Option(help: "Arithmetic of a folder's networks: fp32, or fp16 rounded after every operation.")
  var precision = "fp32"

  @Flag(help: "Keep memory low: parts just in time, one row at a time, the VAE in tiles.")
  var reduceMemory = false

  @Flag(help: "Do not show the pictures to the model's safety checker.")
  var disableSafety = false

  @OptionGroup var options: OutputOptions

  /// No option is passed over in silence.
  func validate() throws {
    try require("--image", image != nil, for: [("--strength", strength != nil), ("--mask", mask != nil)])
    try require("--refiner", refiner != nil, for: [("--refiner-start", refinerStart != nil)])
    let control = [("--control-image", controlImage != nil), ("--control-scale", controlScale != nil)]
    try require("--controlnet", controlnet != nil, for: control)
    try require("--control-image", controlImage != nil, for: [("--controlnet", controlnet != nil)])
  }

  func run() throws {
    let job = try GenerateJob(
      try model.set(guidance: guidance, checksSafety: !disableSafety), try request(), output: output)
    let summary = try job(
      previewEvery: previewEvery, isInterrupted: { Interruption.isRequested }
    ) { event in
      switch event {
      case .stage(let text): Terminal.note(text)
      case .warning(let text): Terminal.note("warning: \(text)")
      case .progress(let progress): Terminal.note(progress.line)
      case .preview, .result: break
      }
    }
    try options.show(summary, text: summary.images.map(\.path).joined(separator: "\n"))
  }

  private func controlNet(_ path: String) throws -> ModelPlace {
    try ModelPlace(controlNet: path.unpacked())
  }

  private func request() throws -> GenerationRequest {
    var request = GenerationRequest(prompt: prompt)
    request.negativePrompt = negativePrompt
    (request.width, request.height) = (width, height)
    (request.steps, request.guidance, request.eta) = (steps, guidance, eta ?? 0)
    (request.seed, request.count) = (seed, count)
    request.method = try choice("--scheduler", scheduler)
    request.spacing = try choice("--spacing", spacing)
    request.usesKarras = karras
    request.compatibility = try choice("--compat", compat)
    request.noiseSource = try choice("--rng", rng)
    request.precision = try choice("--precision", precision)
    request.overflow = try choice("--long-prompt", longPrompt)
    request.readsWeights = weights
    request.reducesMemory = reduceMemory
    request.skipsSafetyChecker = disableSafety
    if let image {
      request.start = GenerationRequest.Start(
        picture: try PictureFile.read(image), strength: strength ?? 0.8, mask: try mask.map { try PictureFile.read($0) }
      )
    }
    if let refiner {
      request.refiner = GenerationRequest.Refiner(
        unet: try ModelPlace(path: refiner.unpacked(), .unet), start: refinerStart ?? 0.8)
    }
    if let controlnet, let controlImage {
      request.control = GenerationRequest.ControlPicture(
        place: try controlNet(controlnet), picture: try PictureFile.read(controlImage), scale: controlScale ?? 1)
    }
    return request
  }
}

extension Pipeline.Progress {
  /// One line of progress.
  fileprivate var line: String {
    let left = Int(secondsLeft.rounded())
    let seconds = left % 60
    let time = "\(left / 60):\(seconds < 10 ? "0" : "")\(seconds)"
    let rate = (secondsPerStep * 100).rounded() / 100
    return "image \(image)/\(images)  step \(step)/\(steps)  \(rate) s/step  \(time) left"
  }
}
