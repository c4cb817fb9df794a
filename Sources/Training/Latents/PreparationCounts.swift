internal import Foundation
internal import Kernels
internal import PictureSets
package import Pictures
internal import StableDiffusion
internal import Tensors

extension PicturePreparation {
  /// How many pictures are what.
  package struct Counts: Sendable {
    package var training = 0
    package var validation = 0
    package var withoutCaption = 0
    /// Encodings of each size in pixels.
    package var sizes: [PixelSize: Int] = [:]
  }

  package var counts: Counts {
    var counts = Counts()
    var seen: Set<[UInt8]> = []
    for (file, picture) in survey.pictures {
      if picture.isValidation { counts.validation += 1 } else { counts.training += 1 }
      guard seen.insert(picture.digest + [picture.isValidation ? 1 : 0]).inserted, let size = size(of: file, picture)
      else { continue }
      counts.sizes[size, default: 0] += settings(picture).variants.count
    }
    counts.withoutCaption = survey.samples.count { $0.captions.isEmpty }
    return counts
  }

  /// What the file takes, about: means and deviations.
  package var bytes: Int {
    let channels = encoder.configuration.latentChannels
    return counts.sizes.reduce(0) { sum, size in
      let pixels = size.key.width / encoder.magnification * (size.key.height / encoder.magnification)
      return sum + size.value * 2 * 4 * channels * pixels
    }
  }

  /// Encodes a grey picture of the usual size.
  package func secondsPerPicture() -> Double {
    let side = settings.resolution
    let grey = Picture(width: side, height: side, bytes: [UInt8](repeating: 128, count: side * side * 3))
    let count = side <= 128 ? 4 * Parallel.threads : 1
    let started = ContinuousClock.now
    _ = encoder([Picture](repeating: grey, count: count))
    return (ContinuousClock.now - started).seconds / Double(count)
  }
}
