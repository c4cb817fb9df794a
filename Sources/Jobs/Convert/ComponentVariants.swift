internal import Models

/// A component in several sizes, or with several adapters, which become functions of one package.
struct ComponentVariants {
  private let model: ModelSource
  private let options: ConvertOptions

  init(_ model: ModelSource, _ options: ConvertOptions) {
    self.model = model
    self.options = options
  }

  func parts(of component: ConvertOptions.Component) throws -> [ComponentPart] {
    let variants = try variants(of: component)
    guard let first = variants.first else { return try ModelComponents(model, options).parts(of: component) }
    let all = try variants.map { try $0.components.parts(of: component) }
    return all[0].indices.map { index in
      var part = all[0][index]
      let further = zip(variants, all).dropFirst().map { variant, parts in
        ComponentPart.Variant(
          function: variant.name, network: parts[index].network, component: parts[index].component)
      }
      part.functions = (first.name, Array(further))
      return part
    }
  }

  /// None for a component that sizes and adapters leave as it is.
  private func variants(of component: ConvertOptions.Component) throws -> [(name: String, components: ModelComponents)]
  {
    if !options.sizes.isEmpty, component != .textEncoder, component != .safetyChecker {
      return options.sizes.map { size in
        var own = options
        (own.latentHeight, own.latentWidth) = (size.height, size.width)
        return ("size_\(size.height)x\(size.width)", ModelComponents(model, own))
      }
    }
    if !options.functions.isEmpty, component == .unet || component == .textEncoder {
      let base = [(ComponentPart.onlyFunction, ModelComponents(model, options))]
      return try base
        + options.functions.map { function in
          var additions = model.additions
          additions.adapters.append(function.adapter)
          return (function.name, ModelComponents(try ModelSource(model.path, additions), options))
        }
    }
    return []
  }
}
