internal import ArgumentParser
internal import Foundation
internal import Kernels
internal import Pictures
internal import StableDiffusion
internal import Training

/// Photos to training pictures, and pictures to latents.
struct PictureRates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pictures", abstract: "Measure decoding and resizing photos, or encoding pictures with a VAE.",
    discussion: "Benchmarks/pictures.py runs both beside Pillow and torch. SDTUNE_THREADS=1 for one thread.")

  @Option(help: "A folder of JPEG files to decode, resize by Lanczos and crop.", completion: .directory)
  var photos: String?

  @Option(help: "A VAE's folder whose encoder is to be measured.", completion: .directory)
  var vae: String?

  @Option(help: "Pixels of the pictures' side.")
  var side = 512

  @Option(help: "Runs after a first one that does not count; the median counts.")
  var runs = 3

  @OptionGroup var options: BenchmarkOutput

  private struct Rate: Encodable {
    let work: String
    let picturesPerSecond: Double
    let fastestPicturesPerSecond: Double
    let peakGiB: Double
    let threads: Int
  }

  func validate() throws {
    guard runs > 0, side > 0 else { throw ValidationError("--runs and --side: expected 1 or more") }
    guard (photos == nil) != (vae == nil) else { throw ValidationError("give one of --photos and --vae") }
  }

  func run() throws {
    let rate = try photos.map { try decoding($0) } ?? vae.map { try encoding($0) }
    guard let rate else { return }
    try options.show(
      rate,
      table: String(
        format: "%@: %.2f pictures/s, fastest %.2f; peak memory %.3f GiB, %ld threads", rate.work as NSString,
        rate.picturesPerSecond, rate.fastestPicturesPerSecond, rate.peakGiB, rate.threads))
  }

  private func decoding(_ folder: String) throws -> Rate {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      .filter { $0.lowercased().hasSuffix(".jpg") || $0.lowercased().hasSuffix(".jpeg") }
    guard !files.isEmpty else { throw ValidationError("\(folder): no .jpg or .jpeg") }
    let (decoder, fit) = (PictureDecoder(), PictureFit.square(side))
    return try measure("photos", count: files.count) {
      for file in files {
        let picture = try decoder(PictureFile.bytes(of: "\(folder)/\(file)")).picture
        guard let placement = fit.placement(of: PixelSize(picture.width, picture.height)) else { continue }
        _ = fit.placed(picture, placement)
      }
    }
  }

  private func encoding(_ folder: String) throws -> Rate {
    let encoder = try PictureEncoder(ModelComponent(folder: folder))
    let bytes = (0..<side * side * 3).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 5)) }
    let picture = Picture(width: side, height: side, bytes: bytes)
    return try measure("VAE encoder", count: 1) { _ = encoder(picture) }
  }

  private func measure(_ work: String, count: Int, _ body: () throws -> Void) throws -> Rate {
    try body()
    let seconds = try (0..<runs).map { _ in try ContinuousClock().measure(body) / .seconds(1) }.sorted()
    return Rate(
      work: work, picturesPerSecond: Double(count) / seconds[runs / 2],
      fastestPicturesPerSecond: Double(count) / seconds[0],
      peakGiB: Double(ProcessMemory.peakBytes) / 1_073_741_824, threads: Parallel.threads)
  }
}
