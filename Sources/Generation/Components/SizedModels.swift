internal import MILRuntime
internal import Models

extension ModelSet {
  /// The same with those functions of packages that are made for a picture of this size, where packages have several.
  ///
  /// - Parameters:
  ///   - height: in pixels; nil for the packages' own choice.
  ///   - width: likewise.
  func taking(height: Int?, width: Int?) throws -> ModelSet {
    guard let height, let width else { return self }
    let magnification = try LatentGeometry(self).magnification
    func sized(_ place: ModelPlace, _ scale: Int) throws -> ModelPlace {
      guard case .package(let path) = place, height % scale == 0, width % scale == 0 else { return place }
      return .package(try PackageModel.path(path, height: height / scale, width: width / scale))
    }
    var models = self
    models.unet = try sized(unet, magnification)
    models.decoder = try sized(decoder, magnification)
    models.encoder = try encoder.map { try sized($0, 1) }
    return models
  }
}
