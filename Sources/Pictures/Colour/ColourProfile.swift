internal import CLittleCMS

/// Embedded ICC profiles, through Little CMS: what they mean in sRGB, with perceptual intent.
enum ColourProfile {
  /// Samples of 8 bits as sRGB, alpha as it was: of RGB or grey, with alpha where there was some.
  ///
  /// - Returns: a warning where a profile was passed over, whose colours then count as sRGB.
  static func converted(
    _ samples: consuming PictureSamples, _ file: borrowing OpenPicture
  ) -> (PictureSamples, warning: String?) {
    guard let profile = file.profile else { return (withoutProfile(samples), nil) }
    let pixels = file.width * file.height
    switch transform(profile, samples) {
    case .success(let transform):
      defer { cmsDeleteTransform(transform) }
      let channels = samples.channels == 2 || samples.channels == 4 && !samples.isCMYK ? 4 : 3
      let source = samples.bytes
      let bytes = [UInt8](unsafeUninitializedCapacity: pixels * channels) { to, initialized in
        cmsDoTransform(transform, source, to.baseAddress, cmsUInt32Number(pixels))
        initialized = pixels * channels
      }
      return (PictureSamples(bytes: bytes, channels: channels, bits: 8, isCMYK: false), nil)
    case .failure(let reason):
      return (withoutProfile(samples), "\(reason.text); its colours are taken as sRGB")
    }
  }

  private struct Reason: Error { let text: String }

  private static func transform(
    _ profile: [UInt8], _ samples: PictureSamples
  ) -> Result<cmsHTRANSFORM, Reason> {
    guard let source = cmsOpenProfileFromMem(profile, cmsUInt32Number(profile.count)) else {
      return .failure(Reason(text: "a broken colour profile"))
    }
    defer { cmsCloseProfile(source) }
    let bytes = Int32(samples.bits / 8)
    let (space, format): (cmsColorSpaceSignature, cmsUInt32Number) =
      switch (samples.channels, samples.isCMYK) {
      case (4, true): (cmsSigCmykData, sd_cms_cmyk(bytes))
      case (1, _): (cmsSigGrayData, sd_cms_grey(bytes))
      case (2, _): (cmsSigGrayData, sd_cms_grey_alpha(bytes))
      case (3, _): (cmsSigRgbData, sd_cms_rgb(bytes))
      default: (cmsSigRgbData, sd_cms_rgb_alpha(bytes))
      }
    guard cmsGetColorSpace(source) == space else {
      return .failure(Reason(text: "a colour profile of another colour space"))
    }
    guard let target = cmsCreate_sRGBProfile() else { return .failure(Reason(text: "no memory for a colour profile")) }
    defer { cmsCloseProfile(target) }
    let hasAlpha = samples.channels == 2 || samples.channels == 4 && !samples.isCMYK
    let made = cmsCreateTransform(
      source, format, target, hasAlpha ? sd_cms_rgb_alpha(1) : sd_cms_rgb(1), cmsUInt32Number(INTENT_PERCEPTUAL),
      hasAlpha ? cmsUInt32Number(cmsFLAGS_COPY_ALPHA) : 0)
    guard let made else { return .failure(Reason(text: "a colour profile that cannot be applied")) }
    return .success(made)
  }

  /// Colours as they are; inks as light: `R = (255 − K) − C (255 − K) / 255`, rounded.
  private static func withoutProfile(_ samples: consuming PictureSamples) -> PictureSamples {
    var samples = samples
    if samples.bits == 16 { samples = narrowed(samples) }
    guard samples.isCMYK else { return samples }
    let inks = samples.bytes
    let bytes = [UInt8](unsafeUninitializedCapacity: inks.count / 4 * 3) { light, initialized in
      for pixel in 0..<inks.count / 4 {
        let paper = 255 - Int(inks[4 * pixel + 3])
        for channel in 0..<3 {
          light[3 * pixel + channel] = UInt8(paper - (Int(inks[4 * pixel + channel]) * paper + 127) / 255)
        }
      }
      initialized = inks.count / 4 * 3
    }
    return PictureSamples(bytes: bytes, channels: 3, bits: 8, isCMYK: false)
  }

  /// `v / 257`, rounded.
  private static func narrowed(_ samples: PictureSamples) -> PictureSamples {
    let bytes = samples.bytes.withUnsafeBytes { raw in
      raw.bindMemory(to: UInt16.self).map { UInt8((UInt32($0) * 255 + 32767) / 65535) }
    }
    return PictureSamples(bytes: bytes, channels: samples.channels, bits: 8, isCMYK: samples.isCMYK)
  }
}
