/// Which keys of `tokenizer_config.json` are read, which change no prompt's tokens, and which would and are not built.
extension TokenizerFiles {
  /// Read, or refused where their value matters.
  private static let readKeys: Set = [
    "add_prefix_space", "added_tokens_decoder", "bos_token", "do_lower_case", "eos_token", "model_max_length",
    "pad_token",
    "padding_side", "split_special_tokens", "tokenizer_class", "truncation_side", "unk_token",
  ]

  /// Of decoding, of calls that pipelines make with values of their own, and notes of whoever saved the file.
  private static let idleKeys: Set = [
    "additional_special_tokens", "auto_map", "backend", "cache_dir", "chat_template", "clean_up_tokenization_spaces",
    "cls_token", "device_map", "dtype", "errors", "extra_special_tokens", "force_download", "is_local", "legacy",
    "local_files_only", "low_cpu_mem_usage", "mask_token", "max_length", "merges_file", "model_input_names",
    "model_specific_special_tokens", "name_or_path", "pad_to_multiple_of", "pad_token_type_id", "processor_class",
    "proxies", "resume_download", "return_attention_mask", "return_tensors", "revision", "sep_token",
    "special_tokens_map_file", "stride", "subfolder", "token", "tokenizer_file", "tokenizer_type", "torch_dtype",
    "trim_offsets", "truncation_strategy", "trust_remote_code", "use_auth_token", "use_fast", "use_safetensors",
    "variant", "verbose", "vocab_file",
  ]

  /// Refuses what would change a prompt's tokens and is not built.
  ///
  /// - Parameter whole: `tokenizer.json`, whose own sides of padding and of cutting count where the configuration is silent.
  static func check(_ config: JSONConfiguration?, _ whole: JSONConfiguration?) throws(ConfigurationError) {
    let sides = [("padding_side", "padding"), ("truncation_side", "truncation")]
    for (key, part) in sides {
      let isSaid = config?.has(key) ?? false
      let name = isSaid ? key : "direction"
      guard let file = isSaid ? config : whole?.object(part), file.has(name) else { continue }
      let side = try file.string(name)
      guard side.lowercased() == "right" else {
        throw .unsupported(file.file, key: isSaid ? key : "\(part) \(name)", value: "'\(side)'", expected: "right")
      }
    }
    guard let config else { return }
    for (key, value) in [("add_prefix_space", false), ("do_lower_case", true), ("split_special_tokens", false)]
    where try config.boolean(key, default: value) != value {
      throw .unsupported(config.file, key: key, value: "\(!value)", expected: "\(value)")
    }
    if config.has("tokenizer_class") {
      let name = try config.string("tokenizer_class")
      guard name.hasPrefix("CLIPTokenizer") || name == "PreTrainedTokenizerFast" || name == "TokenizersBackend" else {
        throw .unsupported(config.file, key: "tokenizer_class", value: "'\(name)'", expected: "CLIPTokenizer")
      }
    }
    try config.refuseKeys(except: readKeys.union(idleKeys))
  }
}
