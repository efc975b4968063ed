# Thin on purpose: each target calls the program that does the work.
STACK ?= dev
FORMAT ?= text
ROWS ?= 5
WEIGHT ?= 10
TEMPLATE ?= dev

# What a user gives is data: recipes read it from the environment as "$$GIVEN_NAME", so that
# neither make nor the shell expands it. A branch's name may hold anything.
GIVEN := STACK FORMAT BASE MONTHS PARAMETERS FRAMEWORK ROWS FLIGHTS WORKLOAD VERSION WEIGHT KEEP KEEP_TO TO \
	RESTORE NAME TTL TEMPLATE PUSH REPLACE KUBERNETES
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
$(foreach name,$(GIVEN),$(eval export GIVEN_$(name) := $$(value $(name))))

# Python looks for modules where these say, before the project's own.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP
# Marks and names are printed in UTF-8, whatever the locale is.
export PYTHONUTF8 = 1
export UV = $(or $(MLOPS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlops-platform)/uv/0.13.9/bin/uv
PYTHON = .venv/bin/python
STACK_COMMAND = $(PYTHON) -m mlops_stack
# What is given wrongly is refused before anything is built for it.
UP = $(STACK_COMMAND) up --stack "$$GIVEN_STACK" --replace "$$GIVEN_REPLACE" $(if $(GIVEN_RESTORE),--restore "$$GIVEN_RESTORE")
PREVIEW = $(STACK_COMMAND) preview --stack "$$GIVEN_STACK" --format "$$GIVEN_FORMAT" $(if $(GIVEN_BASE),--base "$$GIVEN_BASE")
UPGRADE = $(STACK_COMMAND) upgrade --stack "$$GIVEN_STACK" --to "$$GIVEN_TO" --keep-to "$$GIVEN_KEEP_TO"
ENVIRONMENT = $(PYTHON) -m mlops_stack.environments create --name "$$GIVEN_NAME" --ttl "$$GIVEN_TTL" \
	--template "$$GIVEN_TEMPLATE" --keep "$$GIVEN_KEEP" $(if $(GIVEN_RESTORE),--restore "$$GIVEN_RESTORE")

.DEFAULT_GOAL := help
.PHONY: help up preview run status down backup upgrade refresh takeover toolchain toolchain-in-a-hurry toolchain-for-preview toolchain-status cache-push env envs reap rehearse images predict train canary promote rollback
.PHONY: bootstrap pipeline settings lint test test-unit test-integration test-serving test-pages test-soak test-restore test-settings test-upgrade test-s3 bench

help: ## Show the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

up: started := $(shell date +%s)
up: bootstrap ## From whatever there is to a stack that answers [STACK=dev RESTORE=folder REPLACE=resource]
	@$(UP) --check-only
	@$(MAKE) --no-print-directory toolchain-in-a-hurry
	@$(UP) --started $(started)

# Beside a page for reviewers or machines, progress goes where errors go.
preview: ## What `make up` would change [STACK=dev FORMAT=text|markdown|json BASE=file]
	@$(MAKE) --no-print-directory bootstrap $(if $(filter text,$(GIVEN_FORMAT)),,>&2)
	@$(PREVIEW) --check-only
	@$(MAKE) --no-print-directory toolchain-for-preview $(if $(filter text,$(GIVEN_FORMAT)),,>&2)
	@$(PREVIEW)

run: ## Run the pipeline and follow it [WORKLOAD=name MONTHS=1-3] [PARAMETERS="iterations=200 leaves=15"]
	@$(STACK_COMMAND) run --stack "$$GIVEN_STACK" --workload "$$GIVEN_WORKLOAD" --months "$$GIVEN_MONTHS" --parameters "$$GIVEN_PARAMETERS"

train: ## A network, trained on two workers: FRAMEWORK=pytorch|tensorflow [MONTHS=1-3] [PARAMETERS="epochs=8"]
	@$(STACK_COMMAND) train --stack "$$GIVEN_STACK" --framework "$$GIVEN_FRAMEWORK" --months "$$GIVEN_MONTHS" --parameters "$$GIVEN_PARAMETERS"

# FLIGHTS is the name of ROWS in release 0.1.0.
predict: ## Real rows, and what each serving engine says of them [STACK=dev ROWS=5]
	@$(STACK_COMMAND) predict --stack "$$GIVEN_STACK" --workload "$$GIVEN_WORKLOAD" --rows "$${GIVEN_FLIGHTS:-$$GIVEN_ROWS}"

canary: ## A version with a share of the requests, beside the champion: VERSION=2 [WEIGHT=10 WORKLOAD=name]
	@$(STACK_COMMAND) canary --stack "$$GIVEN_STACK" --workload "$$GIVEN_WORKLOAD" --version "$$GIVEN_VERSION" --weight "$$GIVEN_WEIGHT"

promote: ## The version that is tried becomes the champion
	@$(STACK_COMMAND) promote --stack "$$GIVEN_STACK" --workload "$$GIVEN_WORKLOAD"

rollback: ## End a trial; without one, the champion of before serves again
	@$(STACK_COMMAND) rollback --stack "$$GIVEN_STACK" --workload "$$GIVEN_WORKLOAD"

status: ## Where everything is, and whether it answers [STACK=dev]
	@$(STACK_COMMAND) status --stack "$$GIVEN_STACK"

down: bootstrap ## Destroy the stack, and prove that nothing is left [STACK=dev KEEP=all|models KEEP_TO=folder]
	@$(STACK_COMMAND) down --stack "$$GIVEN_STACK" --keep "$$GIVEN_KEEP" --keep-to "$$GIVEN_KEEP_TO" --replace "$$GIVEN_REPLACE"

refresh: bootstrap ## Read every resource anew into the stack's state [STACK=dev]
	@$(STACK_COMMAND) refresh --stack "$$GIVEN_STACK"

takeover: bootstrap ## Give a cluster whose state is lost to this checkout's stack [STACK=dev]
	@$(STACK_COMMAND) takeover --stack "$$GIVEN_STACK"

backup: bootstrap ## All of a stack's data to a folder; the stack goes on [STACK=dev TO=folder]
	@$(STACK_COMMAND) backup --stack "$$GIVEN_STACK" --to "$$GIVEN_TO"

upgrade: started := $(shell date +%s)
upgrade: bootstrap ## Another version of Kubernetes: all data out, a new cluster, all data in [STACK=dev TO=version KEEP_TO=folder]
	@$(UPGRADE) --check-only
	@$(MAKE) --no-print-directory toolchain-in-a-hurry
	@$(UPGRADE) --started $(started)

env: bootstrap ## An environment that expires: NAME=pr-123 TTL=4h [TEMPLATE=dev KEEP=all|models RESTORE=folder]
	@$(ENVIRONMENT) --check-only
	@$(MAKE) --no-print-directory toolchain-in-a-hurry
	@$(ENVIRONMENT)

envs: ## List the environments, and the time each has left [FORMAT=json]
	@$(PYTHON) -m mlops_stack.environments list --format "$$GIVEN_FORMAT"

reap: bootstrap ## Destroy the environments that have expired [KEEP=all|models]
	@$(PYTHON) -m mlops_stack.environments reap --keep "$$GIVEN_KEEP"

rehearse: toolchain ## The AWS stack up and down without an account: moto plays AWS
	@$(STACK_COMMAND) rehearse

images: toolchain ## Push the images to a registry that nodes pull from: PUSH=host/folder
	@$(STACK_COMMAND) images --push "$$GIVEN_PUSH"

bootstrap:
	@toolchain/bootstrap.sh

toolchain: bootstrap ## Obtain every pinned program, image and data set [KUBERNETES=another version]
	@$(PYTHON) -m mlops_toolchain build $(if $(GIVEN_KUBERNETES),--kubernetes "$$GIVEN_KUBERNETES")

# Without optional artefacts that would keep the user waiting.
toolchain-in-a-hurry: bootstrap
	@$(PYTHON) -m mlops_toolchain build --hurry

toolchain-for-preview: bootstrap
	@$(PYTHON) -m mlops_toolchain build --for preview

toolchain-status: bootstrap ## List artefacts: version, origin, size, licence
	@$(PYTHON) -m mlops_toolchain status

cache-push: bootstrap ## Give the shared cache that MLOPS_SHARED_CACHE names what is built here
	@$(PYTHON) -m mlops_toolchain push

pipeline: bootstrap ## Compile the flight-delay pipeline to workloads/flight_pipeline/pipeline.yaml
	@$(PYTHON) -W ignore -m flight_pipeline.compile

settings: bootstrap ## Write the settings' keys to Pulumi.yaml
	@$(PYTHON) -m mlops_stack.project_file

lint: bootstrap ## Format check, lint, types, which layer sees which
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy stack policies infra platform plugins toolchain workloads controllers
	@said=$$(.venv/bin/lint-imports --no-cache) || { echo "$$said"; exit 1; }
	@$(PYTHON) -W ignore -m flight_pipeline.compile --check
	@$(PYTHON) -m mlops_stack.project_file --check

test-unit: bootstrap lint ## What needs neither root nor a toolchain
	@.venv/bin/pytest tests/unit -n auto --dist worksteal -q

test-integration: toolchain ## Real programs in processes of this machine, without a cluster
	@.venv/bin/pytest tests/integration -n auto --dist worksteal -q

test: toolchain lint ## Every test, to a real up → run → down
	@.venv/bin/pytest tests/unit tests/integration -n auto --dist worksteal -q
	@.venv/bin/pytest tests/s3 -m "not long" -n auto --dist loadfile -q --durations=5
	@.venv/bin/pytest tests/conformance -n auto --dist loadfile --no-loadscope-reorder -q --durations=10
	@.venv/bin/pytest tests/cluster tests/e2e -m "not serving and not restore and not upgrade and not settings and not pages" -q --durations=10
	@echo "not run: model servers under load and in trouble, which need an idle machine: make test-serving"
	@echo "not run: all of a stack's data into a new one, which takes ten minutes: make test-restore"
	@echo "not run: a stack's way to another version of Kubernetes: make test-upgrade"
	@echo "not run: each setting of a lasting stack changed once: make test-settings"
	@echo "not run: a run's page and its panels in a browser: make test-pages"
	@echo "not run: the AWS stack in each of its sizes: make rehearse"
	@echo "not run: a node's hour, day and year: make test-soak"

test-pages: toolchain ## A run's page and its panels in a browser
	@.venv/bin/pytest tests/e2e -m pages -q --durations=10

test-soak: toolchain ## What happens to a node after an hour, a day and a year, in ten minutes
	@.venv/bin/pytest tests/soak -q --durations=10

test-serving: toolchain ## Model servers under load and in trouble, on an idle machine
	@.venv/bin/pytest tests/e2e -m serving -q --durations=10

test-restore: toolchain ## All of a stack's data out with KEEP=all, and into a new stack
	@.venv/bin/pytest tests/e2e/test_restore.py -m restore -q --durations=10

test-settings: toolchain ## Each setting of a lasting stack changed once: refused, or all data still there
	@.venv/bin/pytest tests/e2e/test_settings.py -m settings -q --durations=10

test-upgrade: toolchain ## A stack with its data from the oldest version of Kubernetes to the newest
	@.venv/bin/pytest tests/e2e/test_upgrade.py -m upgrade -q --durations=10

test-s3: toolchain ## S3's conformance: the gateway, moto, and the server that S3_TEST_ENDPOINT names
	@.venv/bin/pytest tests/s3 -q --durations=10

bench: toolchain ## Print the figures of docs/figures.md
	@$(PYTHON) benchmarks/figures.py
