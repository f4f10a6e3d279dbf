"""Settings of Hypercorn's that its command line lacks: connections are kept, as by others."""

keep_alive_timeout = 75
keep_alive_max_requests = 1_000_000_000
