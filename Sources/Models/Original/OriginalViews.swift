internal import Foundation
internal import WeightFiles

/// How the tensors of a file under original names are seen under diffusers'.
struct OriginalViews {
  private(set) var views: [String: RenamedWeights.View] = [:]
  /// What the file calls a tensor.
  let spell: @Sendable (String) -> String?

  /// A UNet's, whose names begin with a prefix.
  init(unet prefix: String, in names: [String]) {
    let own = Self.without(prefix, names)
    let table = OriginalNames.unet(Set(own))
    for name in own {
      if let new = table.diffusers(name) { views[new] = .whole(prefix + name) }
    }
    spell = { table.original($0).map { prefix + $0 } }
  }

  /// A VAE's; older files hold the matrices of its attention as 1×1 convolutions.
  init(autoencoder prefix: String, in source: any WeightSource) {
    let own = Self.without(prefix, source.names)
    let table = OriginalNames.autoencoder(Set(own))
    for name in own {
      guard let new = table.diffusers(name) else { continue }
      let shape = source.shape(of: prefix + name) ?? []
      let isMatrix = name.contains(".attn_1.") && shape.count == 4 && shape[2...] == [1, 1]
      views[new] = isMatrix ? .reshaped(prefix + name, Array(shape.prefix(2))) : .whole(prefix + name)
    }
    spell = { table.original($0).map { prefix + $0 } }
  }

  /// A text encoder's that OpenCLIP wrote.
  ///
  /// - Parameters:
  ///   - dropsLast: whether the last layer is left out, as SD 2 does, which reads the states before it.
  ///   - keepsProjection: of pooled text.
  init(openCLIP prefix: String, in source: any WeightSource, dropsLast: Bool, keepsProjection: Bool) {
    let own = Self.without(prefix, source.names)
    let layers = (0..<1000).prefix { source.contains("\(prefix)transformer.resblocks.\($0).ln_1.weight") }.count
    let kept = max(0, dropsLast ? layers - 1 : layers)
    let table = OriginalNames.openCLIP(layers: kept)
    for name in own {
      if let new = table.diffusers(name) { views[new] = .whole(prefix + name) }
    }
    for layer in 0..<kept {
      for ending in ["weight", "bias"] {
        let name = "\(prefix)transformer.resblocks.\(layer).attn.in_proj_\(ending)"
        guard let rows = source.shape(of: name)?.first, rows % 3 == 0 else { continue }
        for (third, projection) in ["q_proj", "k_proj", "v_proj"].enumerated() {
          let new = "text_model.encoder.layers.\(layer).self_attn.\(projection).\(ending)"
          views[new] = .rows(name, rows / 3 * third..<rows / 3 * (third + 1))
        }
      }
    }
    // OpenCLIP multiplies by the matrix from the right.
    if keepsProjection { views["text_projection.weight"] = .transposed(prefix + "text_projection") }
    spell = { name in
      if name == "text_projection.weight" { return prefix + "text_projection" }
      guard let found = name.range(of: ".self_attn."), !name.contains("out_proj") else {
        return table.original(name).map { prefix + $0 }
      }
      let layer = name[..<found.lowerBound].split(separator: ".").last ?? ""
      return "\(prefix)transformer.resblocks.\(layer).attn.in_proj_\(name.hasSuffix("bias") ? "bias" : "weight")"
    }
  }

  /// Those of a network whose names are right but for a prefix.
  ///
  /// - Parameter inserted: stands before them instead.
  init(prefix: String, inserting inserted: String = "", in names: [String]) {
    for name in Self.without(prefix, names) { views[inserted + name] = .whole(prefix + name) }
    spell = { $0.hasPrefix(inserted) ? prefix + $0.dropFirst(inserted.count) : nil }
  }

  private static func without(_ prefix: String, _ names: [String]) -> [String] {
    names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
  }
}
