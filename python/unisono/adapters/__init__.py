"""unisono under the operators that CPU inference engines call for their own shared-memory communication:
`unisono.adapters.sglang.install()` and `unisono.adapters.vllm.install()`, before the engine makes its groups."""
