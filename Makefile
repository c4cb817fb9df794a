# sdtune: two commands on a fresh machine, and the rest.
#
#   make tune     install what is missing, build, run the main job, end with a package and a report
#   make test     install what is missing, run every test

SWIFT ?= swift
RECIPE ?= recipes/unet-4bit.json
DEBIAN = git pkg-config libopenblas-dev libhdf5-dev libpng-dev libjpeg-dev libwebp-dev liblcms2-dev libexif-dev \
  libarchive-dev libssl-dev
# MPI=1: a build that shares batches out over the processes that mpirun starts.
ifdef MPI
export SDTUNE_MPI = 1
DEBIAN += libopenmpi-dev openmpi-bin
endif
# Root needs no sudo.
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: tune test build parity packages operations compiled pictures modelfiles stamps interoperability fuzz format lint benchmark dependencies clean

tune: build
	.build/release/sdtune --recipe $(RECIPE)

build: dependencies
	$(SWIFT) build -c release --product sdtune

# Memory that kernels have let go of reads as NaN in tests (docs/decisions/0004).
test: dependencies
	SDTUNE_POISON=1 $(SWIFT) test -c release

# Golden numbers of torch, diffusers, transformers and coremltools: make parity REFERENCES=DIR
parity: dependencies
	$(if $(REFERENCES),SDTUNE_REFERENCES="$(abspath $(REFERENCES))") SDTUNE_POISON=1 $(SWIFT) test -c release --filter 'ParityTests|ClusteringTests'

# Packages with expected outputs, as made by Apple's tools: make packages PACKAGES=DIR
packages: dependencies
	$(if $(PACKAGES),SDTUNE_PACKAGES="$(abspath $(PACKAGES))") $(SWIFT) test -c release --filter 'MILRuntimeTests|PackagePipelineTests'

# Packages of single operations with inputs and expected outputs, such as coremltools' own tests: make operations OPERATIONS=DIR
operations: dependencies
	$(if $(OPERATIONS),SDTUNE_OPERATIONS="$(abspath $(OPERATIONS))") $(SWIFT) test -c release --filter OperationFolderTests

# Compiled models of Apple's compiler with the packages they were made of: make compiled COMPILED=DIR
compiled: dependencies
	$(if $(COMPILED),SDTUNE_COMPILED="$(abspath $(COMPILED))") $(SWIFT) test -c release --filter CompiledModelTests

# Pictures in every form, folders, captions, latents with what must be read from them: make pictures PICTURES=DIR
pictures: dependencies
	$(if $(PICTURES),SDTUNE_PICTURES="$(abspath $(PICTURES))") SDTUNE_POISON=1 $(SWIFT) test -c release \
	  --filter 'PicturesTests|PictureSetsTests|PictureLatentsTests|SampleTests|PrepareTests'

# Single files, folders, adapters and embeddings with what must be read from them: make modelfiles MODELFILES=DIR
modelfiles: dependencies
	$(if $(MODELFILES),SDTUNE_MODELFILES="$(abspath $(MODELFILES))") SDTUNE_POISON=1 $(SWIFT) test -c release --filter ModelsTests

# Debian's captioned pictures, 161 MB, prepared by the test that uses them.
stamps: dependencies
	@dpkg -s tuxpaint-stamps-default >/dev/null 2>&1 \
	  || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends tuxpaint-stamps-default; }
	$(SWIFT) test -c release --filter PrepareTests.stampsAreAllPrepared

# Packages that we write before the genuine coremltools, from PyPI; without a network there is nothing to compare with.
interoperability:
	@test -x .build/release/sdtune || $(MAKE) build
	@python=.build/interoperability/bin/python; \
	if $$python -c "import coremltools, safetensors" 2>/dev/null \
	  || { python3 -m venv .build/interoperability \
	       && timeout 300 $$python -m pip install --quiet --retries 1 "coremltools>=8,<10" safetensors; }; \
	then $$python Tests/Interoperability/check_packages.py .build/release/sdtune; \
	else echo "interoperability: skipped, coremltools cannot be installed"; fi

# A reader of files from strangers under libFuzzer, on the inputs that the tests keep; findings lie in .build-fuzz (Swift's own
# backtrace of a trap would come before libFuzzer writes them):
# make fuzz READER=picture SECONDS=600; all readers in turn: make fuzz READER=all
READER ?= package
SECONDS ?= 600
FUZZER = .build-fuzz/release/reader-fuzzer
fuzz: dependencies
	SDTUNE_FUZZER=1 $(SWIFT) build -c release --scratch-path .build-fuzz --sanitize fuzzer --product reader-fuzzer
	for reader in $(if $(filter all,$(READER)),$$($(FUZZER) --readers),$(READER)); do \
	  export READER=$$reader && mkdir -p .build-fuzz/corpus/$$reader && \
	  SWIFT_BACKTRACE=enable=no $(FUZZER) .build-fuzz/corpus/$$reader $$($(FUZZER) --seeds) -max_total_time=$(SECONDS) -timeout=20 \
	    -rss_limit_mb=2048 -max_len=65536 -artifact_prefix=.build-fuzz/$$reader- || exit 1; \
	done

# Kernels on full-size shapes; then, with SIZE=sd15, half, quarter or sdxl, training steps and runs of packages, beside the
# peers that PYTHON=… has (docs/performance.md).
benchmark: dependencies
	$(SWIFT) build -c release --product sdtune
	.build/release/sdtune benchmark kernels --output .build/benchmark-kernels.json
	$(if $(SIZE),PYTHON="$(PYTHON)" python3 Benchmarks/full_size.py --size $(SIZE))

SOURCES = Package.swift Sources Tests Benchmarks Fuzzing

format:
	$(SWIFT) format -i -r --configuration .swift-format $(SOURCES)

lint:
	$(SWIFT) format lint --strict -r --configuration .swift-format $(SOURCES)

# Installs the Debian packages that are missing, and says nothing when none is.
dependencies:
	@command -v $(firstword $(SWIFT)) >/dev/null || { \
	  echo "error: $(SWIFT): not found; expected Swift 6.2 or newer in PATH, see https://www.swift.org/install/linux"; exit 1; }
	@missing=$$(for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing" $$missing; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $$missing; \
	fi

clean:
	rm -rf .build
