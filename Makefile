# Thin on purpose: each target calls the program that does the work.
STACK ?= dev
FORMAT ?= text
export UV = $(or $(MLOPS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlops-platform)/uv/0.13.9/bin/uv
PYTHON = .venv/bin/python
STACK_COMMAND = $(PYTHON) -m mlops_stack

.DEFAULT_GOAL := help
.PHONY: help up preview run status down toolchain toolchain-in-a-hurry toolchain-status env envs reap rehearse images predict train canary promote rollback
.PHONY: bootstrap pipeline lint test test-unit test-serving bench

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

up: started := $(shell date +%s)
up: toolchain-in-a-hurry ## From whatever there is to a stack that answers [STACK=dev RESTORE=folder]
	@$(STACK_COMMAND) up --stack $(STACK) --started $(started) $(if $(RESTORE),--restore '$(RESTORE)')

# Beside a page for reviewers or machines, progress goes where errors go.
preview: ## What `make up` would change [STACK=dev FORMAT=text|markdown|json BASE=file]
	@$(MAKE) --no-print-directory toolchain-in-a-hurry $(if $(filter text,$(FORMAT)),,>&2)
	@$(STACK_COMMAND) preview --stack $(STACK) --format $(FORMAT) $(if $(BASE),--base '$(BASE)')

run: ## Run the pipeline and follow it [MONTHS=1-3] [PARAMETERS="iterations=200 leaves=15"]
	@$(STACK_COMMAND) run --stack $(STACK) --months "$(MONTHS)" $(PARAMETERS)

train: ## A network, trained on two workers: FRAMEWORK=pytorch|tensorflow [MONTHS=1-3] [PARAMETERS="epochs=8"]
	@$(STACK_COMMAND) train --stack $(STACK) --framework '$(FRAMEWORK)' --months "$(MONTHS)" $(PARAMETERS)

predict: ## Real flights, and what each serving engine says of them [STACK=dev FLIGHTS=5]
	@$(STACK_COMMAND) predict --stack $(STACK) --flights '$(or $(FLIGHTS),5)'

canary: ## A version with a share of the requests, beside the champion: VERSION=2 [WEIGHT=10]
	@$(STACK_COMMAND) canary --stack $(STACK) --version '$(VERSION)' --weight '$(or $(WEIGHT),10)'

promote: ## The version that is tried becomes the champion
	@$(STACK_COMMAND) promote --stack $(STACK)

rollback: ## End a trial; without one, the champion of before serves again
	@$(STACK_COMMAND) rollback --stack $(STACK)

status: ## Where everything is, and whether it answers [STACK=dev]
	@$(STACK_COMMAND) status --stack $(STACK)

down: bootstrap ## Destroy the stack, and prove that nothing is left [STACK=dev KEEP=models KEEP_TO=folder]
	@$(STACK_COMMAND) down --stack $(STACK) --keep '$(KEEP)' --keep-to '$(KEEP_TO)'

env: toolchain-in-a-hurry ## An environment that expires: NAME=pr-123 TTL=4h [TEMPLATE=dev KEEP=models RESTORE=folder]
	@$(PYTHON) -m mlops_stack.environments create --name "$(NAME)" --ttl "$(TTL)" --template "$(or $(TEMPLATE),dev)" \
		--keep "$(KEEP)" $(if $(RESTORE),--restore '$(RESTORE)')

envs: ## List the environments, and the time each has left [FORMAT=json]
	@$(PYTHON) -m mlops_stack.environments list --format "$(FORMAT)"

reap: bootstrap ## Destroy the environments that have expired [KEEP=models]
	@$(PYTHON) -m mlops_stack.environments reap --keep "$(KEEP)"

rehearse: toolchain ## The AWS stack up and down without an account: moto plays AWS
	@$(STACK_COMMAND) rehearse

images: toolchain ## Push the images to a registry that nodes pull from: PUSH=host/folder
	@$(STACK_COMMAND) images --push '$(PUSH)'

bootstrap:
	@toolchain/bootstrap.sh

toolchain: bootstrap ## Obtain every pinned program, image and data set
	@$(PYTHON) -m mlops_toolchain build

# Without optional artefacts that would keep the user waiting.
toolchain-in-a-hurry: bootstrap
	@$(PYTHON) -m mlops_toolchain build --hurry

toolchain-status: bootstrap ## List artefacts: version, origin, size, licence
	@$(PYTHON) -m mlops_toolchain status

pipeline: bootstrap ## Compile the flight-delay pipeline to workloads/flight_pipeline/pipeline.yaml
	@$(PYTHON) -W ignore -m flight_pipeline.compile

lint: bootstrap ## Format check, lint, types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy stack policies infra platform plugins toolchain workloads controllers
	@$(PYTHON) -W ignore -m flight_pipeline.compile --check

test-unit: bootstrap lint ## What needs neither root nor a toolchain
	@.venv/bin/pytest tests/unit -n auto -q

test: toolchain lint ## Every test, to a real up → run → down
	@.venv/bin/pytest tests/unit -n auto -q
	@.venv/bin/pytest tests/conformance -n auto --dist loadfile --no-loadscope-reorder -q --durations=10
	@.venv/bin/pytest tests/cluster tests/e2e -m "not serving" -q --durations=10
	@echo "not run: model servers under load and in trouble, which need an idle machine: make test-serving"

test-serving: toolchain ## Model servers under load and in trouble, on an idle machine
	@.venv/bin/pytest tests/e2e -m serving -q --durations=10

bench: toolchain ## Print the figures of docs/figures.md
	@$(PYTHON) benchmarks/figures.py
