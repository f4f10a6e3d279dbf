# The things people do here. Each is one script, so that nothing needs make.

.PHONY: run test bench bench-quick clean

run: ## build, install into .venv, serve examples/flask_app.py on 127.0.0.1:4000
	scripts/run

test: ## everything that must hold before a change lands
	scripts/check

bench: ## speed beside other servers
	bench/run

bench-quick: ## the same in three minutes
	bench/run --quick

clean: ## remove what the above made
	rm -rf .venv dist target bench/.envs
