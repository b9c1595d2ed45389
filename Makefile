# What can be done with this repository. `make` alone lists it.

SHELL := /bin/bash
CARGO ?= cargo
WASM := wasm32-wasip2
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Every folder of policies/ and plugins/ that is a crate is a guest of that name.
GUESTS := $(patsubst %/Cargo.toml,%,$(wildcard policies/*/Cargo.toml plugins/*/Cargo.toml))
# Those that are in another language: only `make languages` and `make test` want its tools.
SCRIPTED := $(sort $(patsubst %/,%,$(dir $(wildcard $(foreach kind,policies plugins,$(kind)/*/package.json $(kind)/*/pyproject.toml)))))
# Programs that nobody but their own tests and measurements needs.
UNSHIPPED := $(patsubst tests/%/Cargo.toml,watchkeeper-%,$(wildcard $(patsubst %,tests/%/Cargo.toml,e2e bench fuzz model sim mutations)))

# Two calls of cargo at once would only wait for each other.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help build programs guests languages scripted wasm demo test soak mutations chaos lint bench bench-failover lab-up lab-down clean-lab $(GUESTS:%=guest/%)

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: programs guests ## the daemon, and every policy and plugin in target/guests
	@echo "built: $(TARGET)/debug/watchkeeper, $(GUESTS:%=$(TARGET)/guests/%.wasm)"

# All of the workspace, so that features are the same as in tests, which then need less building; but not what is
# built only to be tested or measured.
programs:
	$(CARGO) build --workspace $(addprefix --exclude ,$(UNSHIPPED)) --bins

guests: $(GUESTS:%=guest/%)

# Each alone: several packages in one call would get each other's features, and import both worlds.
$(GUESTS:%=guest/%): guest/%: wasm
	$(CARGO) rustc --profile guest --target $(WASM) -p $(notdir $*) --crate-type cdylib
	@install -D -m 644 $(TARGET)/$(WASM)/guest/$(subst -,_,$(notdir $*)).wasm $(TARGET)/guests/$*.wasm

languages: programs scripted ## the policies and plugins in JavaScript and Python, in target/guests (needs npm and pip)

# By the program that is there already.
scripted:
	@for guest in $(SCRIPTED); do \
		case $$guest in policies/*) kind=policy ;; *) kind=plugin ;; esac; \
		$(TARGET)/debug/watchkeeper $$kind build $$guest --tools $(TARGET)/tools --out $(TARGET)/guests/$$guest.wasm || exit 1; \
	done

# rustup reads rust-toolchain.toml, but adds a missing target only when it installs the toolchain.
wasm:
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(WASM)" || rustup target add $(WASM) || \
		{ echo "the Rust target $(WASM) is needed, and there is no rustup to install it" >&2; exit 1; }

demo: build ## the main job on a stand-in site, told as it happens; DEMO=--stay leaves it running
	$(TARGET)/debug/watchkeeper-demo --guests $(TARGET)/guests $(DEMO)

test: guests ## every test; as root with the lab of real servers (LAB=no: without)
	LAB=$(LAB) CARGO=$(CARGO) tests/run

soak: ## so many simulated runs with faults, from N=100000 (a failing seed is told)
	$(CARGO) run --profile soak -p watchkeeper-sim -- --seeds $(or $(N),100000)

mutations: ## break each guard and what else keeps one side active, and see who notices (an hour); BREAKS='--only vantage'
	$(CARGO) run -p watchkeeper-mutations -- --page docs/safety.md $(BREAKS)

chaos: guests ## so many schedules of random faults on labs of real servers, from N=20 (root); CHAOS="--from 1001 --labs 3 --json"
	tests/lab/install-packages
	$(CARGO) run -p watchkeeper-lab --bin lab-chaos -- --seeds $(or $(N),20) $(CHAOS)

lint: wasm ## format, clippy, documentation, shell scripts, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --document-private-items
	@if command -v shellcheck >/dev/null; then shellcheck -x tests/run tests/summary tests/languages/install .ci/run; \
		else echo "not checked: shell scripts (apt-get install shellcheck)"; fi
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
		else echo "not checked: dependencies (cargo install --locked cargo-deny)"; fi

bench: guests ## the benchmarks, as ratios measured in one run; BENCH=--json for machines
	$(CARGO) run --release -p watchkeeper-bench -- $(BENCH)

bench-failover: ## how long a failover takes in the lab, beside Redis Sentinel (root); BENCH="--runs 3 --json"
	tests/lab/install-packages
	tests/lab/install-packages bench-packages.txt
	$(CARGO) run --release -p watchkeeper-lab --bin failover-bench -- $(BENCH)

lab-up: programs ## five servers with real sshd, PostgreSQL and ActiveMQ (root; tests/lab/README.md)
	tests/lab/install-packages
	tests/lab/up

lab-down: ## take the lab down
	tests/lab/down

clean-lab: lab-down ## and forget what new labs start from
	rm -rf /var/cache/watchkeeper-lab
