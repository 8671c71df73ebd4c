# The one entrance: `make` alone lists what there is.
# Everything is installed into .venv; nothing outside this folder is touched.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
NATIVE := $(wildcard csrc/*.c csrc/*.h)
ENGINE ?= docker

.PHONY: help demo test chaos soak fuzz lint audit format bench compare formats-page chart helm image clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo "make demo     watch rows travel from an emulated Kinetica to a file and this terminal"
	@echo "make test     run the tests"
	@echo "make chaos    rounds of random faults, after those that passed (ROUNDS=50, 0 until stopped; JOBS=2; SEED=n one again)"
	@echo "make soak     the service under load and in trouble, held to its account (SOAK_SECONDS=1200)"
	@echo "make fuzz     hostile bytes for the C code under sanitizers (FUZZ_SECONDS=1200 for each target)"
	@echo "make lint     ruff, mypy --strict, import-linter"
	@echo "make audit    known vulnerabilities of all packages in .venv (asks PyPI's advisories)"
	@echo "make format   let ruff mend what it can"
	@echo "make bench    measure, beside the vendor's client (ARGS='--scale 0.1' for a first look)"
	@echo "make compare  the vendor's client, ours and the service in the same troubles (a quarter of an hour)"
	@echo "make formats-page  put the examples of docs/formats.md in anew"
	@echo "make chart    alerts, dashboard and deploy/kubernetes.yaml of the Helm chart anew (wants helm or Go)"
	@echo "make helm     build Helm for the chart's tests, where there is none (wants Go; minutes, once)"
	@echo "make image    build the container image (ENGINE=podman for another engine than docker)"
	@echo "make clean    remove everything that was built, .venv too"

$(READY): pyproject.toml $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo "creating $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing kinetica-bridge and its tools into $(VENV) (a minute the first time)"
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[dev,postgres,redis,zstd]'
	@touch $@

demo: $(READY)
	@$(BIN)/kinetica-bridge demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Strict: a package that nobody could be asked about is no package without vulnerabilities.
audit: $(READY)
	@mkdir -p out
	@$(BIN)/python -m pip freeze --exclude-editable >out/installed.txt
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r out/installed.txt

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Goes on after what passed, in out/chaos; SEED=17 carries that round out alone.
ROUNDS ?= 50
JOBS   ?= 2

chaos: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m chaos.rounds --rounds $(ROUNDS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED))

# Leaves configuration, journal and log in out/soak where something was wrong.
SOAK_SECONDS ?= 1200

soak: $(READY)
	@$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

# What one run finds, in out/fuzz, the next one begins with; clang brings libFuzzer.
FUZZ_SECONDS ?= 1200
FUZZ_CC      ?= $(shell command -v clang || echo cc)

fuzz: $(READY)
	@$(MAKE) -s -C csrc PYTHON=$(abspath $(BIN)/python) CC=$(FUZZ_CC) fuzz
	@for target in walk:records receive:messages transcode:records avro:records csv:records digest:records \
			sha256:json embed:json decode:records; do \
		name=$${target%:*}; echo "fuzz_$$name, $(FUZZ_SECONDS) s"; mkdir -p out/fuzz/$$name; \
		PYTHONPATH=tests/fuzz:.:$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
		PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=$$([ $$name = decode ] && echo 0 || echo 1) \
		out/csrc/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 \
			-artifact_prefix=out/fuzz/$$name- out/fuzz/$$name tests/fuzz/corpus/$${target#*:} \
			>out/fuzz/$$name.log 2>&1 || { tail -40 out/fuzz/$$name.log; exit 1; }; \
		tail -1 out/fuzz/$$name.log; \
	done

bench: $(READY)
	$(BIN)/python -m benchmarks $(ARGS)

compare: $(READY)
	@$(BIN)/python -m benchmarks.compare

formats-page: $(READY)
	@PYTHONPATH=tests $(BIN)/python tests/house/test_formats_document.py

helm: $(READY)
	@command -v helm || $(BIN)/python tests/services/helm.py

chart: helm
	@PYTHONPATH=tests $(BIN)/python tests/house/test_chart.py

image: VERSION  = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' bridge/__init__.py)
image: REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# podman leaves out the health check unless asked for Docker's format.
image: FORMAT   = $(if $(findstring podman,$(ENGINE)),--format docker)
image:
	$(ENGINE) build $(FORMAT) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		-t kinetica-bridge:$(VERSION) -t kinetica-bridge:latest .

clean:
	rm -rf $(VENV) build dist out *.egg-info
